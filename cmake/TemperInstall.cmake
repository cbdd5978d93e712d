# `cmake --install` puts the headers, the licence, the package for find_package(temper) and the file for
# pkg-config in place. All of it is text that names no folder of this machine: the installed tree can be
# moved, and it is the same for every architecture.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/temper)
set(pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/temper DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp"
)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/temper)

# ---- find_package(temper) ------------------------------------------------------------------------
install(TARGETS temper EXPORT temperTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT temperTargets NAMESPACE temper:: DESTINATION ${package_dir})
configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/temperConfig.cmake.in ${PROJECT_BINARY_DIR}/temperConfig.cmake
    INSTALL_DESTINATION ${package_dir}
)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/temperConfigVersion.cmake
    COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT
)
install(FILES
    ${PROJECT_BINARY_DIR}/temperConfig.cmake ${PROJECT_BINARY_DIR}/temperConfigVersion.cmake
    DESTINATION ${package_dir}
)

# ---- pkg-config temper ---------------------------------------------------------------------------
file(RELATIVE_PATH to_prefix ${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH to_headers ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
string(REGEX REPLACE "/$" "" to_prefix ${to_prefix})
configure_file(${PROJECT_SOURCE_DIR}/cmake/temper.pc.in ${PROJECT_BINARY_DIR}/temper.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/temper.pc DESTINATION ${pkgconfig_dir})
