# What temper's own tests, benchmarks and examples are compiled with. Users never see it.

option(TEMPER_WERROR "Warnings are errors" OFF)
option(TEMPER_OPENMP "Compile with OpenMP where it is found" ON)
set(TEMPER_ARCH "" CACHE STRING "Instruction set, as -march takes it (empty: the compiler's default)")

# Kernels and whatever links them need the same flags: linking temper_flags is how they agree.
add_library(temper_flags INTERFACE)
target_link_libraries(temper_flags INTERFACE temper::temper)
set(temper_warnings -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wshadow
    $<$<BOOL:${TEMPER_WERROR}>:-Werror>
)
target_compile_options(temper_flags INTERFACE ${temper_warnings})
if(TEMPER_ARCH)
    target_compile_options(temper_flags INTERFACE -march=${TEMPER_ARCH})
endif()
if(TEMPER_OPENMP)
    find_package(OpenMP COMPONENTS CXX)
    if(OpenMP_CXX_FOUND)
        target_link_libraries(temper_flags INTERFACE OpenMP::OpenMP_CXX)
    endif()
endif()
target_compile_features(temper_flags INTERFACE cxx_std_20)
set(CMAKE_CXX_EXTENSIONS OFF)

# ccache accepts precompiled headers only when told that their times and macros do not matter.
find_program(TEMPER_CCACHE ccache)
mark_as_advanced(TEMPER_CCACHE)
if(TEMPER_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${TEMPER_CCACHE}
    )
    target_compile_options(temper_flags INTERFACE
        $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
        "$<$<CXX_COMPILER_ID:Clang,AppleClang>:SHELL:-Xclang -fno-pch-timestamp>"
    )
endif()

# temper_write(<file> <content>): a generated file keeps its time when its content is unchanged.
function(temper_write file content)
    file(CONFIGURE OUTPUT ${file} CONTENT "${content}" @ONLY)
endfunction()

# temper_find(<variable> <what> <Debian package> <find_package arguments...>): a library that a part
# of the developer's build needs; where it is missing, the part is left out and one line says so.
macro(temper_find found what package)
    find_package(${ARGN} QUIET)
    set(${found} ${${ARGV3}_FOUND})
    if(NOT ${found})
        message(STATUS "${what} left out: ${ARGV3} was not found (Debian: ${package})")
    endif()
endmacro()
