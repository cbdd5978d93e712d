# kernel_sources: units that hold all kernels. Component headers end in TEMPER_INSTANTIATE(kernel::Name),
# which in these units makes the kernels for float and double. They become temper::compiled, or the
# object library temper_kernels that tests and examples link.

file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include
    ${PROJECT_SOURCE_DIR}/include/temper/*.hpp
)
list(FILTER headers INCLUDE REGEX "^temper/[a-z_]+/")
list(FILTER headers EXCLUDE REGEX "^temper/(core|simd|linalg|adapt)/")

set(folders ${headers})
list(TRANSFORM folders REPLACE "^temper/([a-z_]+)/.*" "\\1")
list(REMOVE_DUPLICATES folders)

# One source per folder, at most six headers each, so that sources are neither many nor slow.
set(headers_per_source 6)
set(kernel_sources ${PROJECT_BINARY_DIR}/kernels/version.cpp)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/kernels/version.cpp @ONLY
    CONTENT "#define TEMPER_BUILD_KERNELS 1\n#include <temper/core/config.hpp>\n"
)
foreach(folder IN LISTS folders)
    set(rest ${headers})
    list(FILTER rest INCLUDE REGEX "^temper/${folder}/")
    set(part 1)
    while(rest)
        set(includes "#define TEMPER_BUILD_KERNELS 1\n")
        foreach(i RANGE 1 ${headers_per_source})
            list(POP_FRONT rest header)
            if(header)
                string(APPEND includes "#include <${header}>\n")
            endif()
        endforeach()
        set(source ${PROJECT_BINARY_DIR}/kernels/${folder}_${part}.cpp)
        file(CONFIGURE OUTPUT ${source} CONTENT "${includes}" @ONLY)
        list(APPEND kernel_sources ${source})
        math(EXPR part "${part} + 1")
    endwhile()
endforeach()

# Kernels are not what a Debug build steps through, and without optimisation every pack is a call of a
# call: the digits demo takes seven minutes so, and one with this.
set(temper_debug_optimisation $<$<AND:$<CONFIG:Debug>,$<CXX_COMPILER_ID:GNU,Clang,AppleClang>>:-O1>)
