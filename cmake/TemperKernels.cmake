# The object library of kernels. Component headers end in TEMPER_INSTANTIATE(kernel::Name): here it
# makes the kernels for float and double; tests, snippets and examples are compiled with
# TEMPER_COMPILED=1, see declarations only, and link these objects.

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
set(sources ${PROJECT_BINARY_DIR}/kernels/version.cpp)
temper_write(${PROJECT_BINARY_DIR}/kernels/version.cpp
    "#define TEMPER_BUILD_KERNELS 1\n#include <temper/core/config.hpp>\n"
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
        temper_write(${source} "${includes}")
        list(APPEND sources ${source})
        math(EXPR part "${part} + 1")
    endwhile()
endforeach()

add_library(temper_kernels OBJECT ${sources})
target_link_libraries(temper_kernels PUBLIC temper_flags)
target_compile_definitions(temper_kernels PRIVATE TEMPER_COMPILED=0 INTERFACE TEMPER_COMPILED=1)
