# `cmake --install` puts the headers, the licence and the package for find_package(temper) in place.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/temper)

install(TARGETS temper EXPORT temperTargets)
install(EXPORT temperTargets NAMESPACE temper:: DESTINATION ${package_dir})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/temper DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp"
)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/temper)

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
