# temper::compiled, a static library of all kernels. Programs that link it see declarations only, include
# neither xsimd nor a kernel's code, and run on whatever instruction set the processor has: on x86-64 (ELF,
# binutils) the kernels are compiled once per level of TEMPER_LEVELS and one is picked before main;
# elsewhere once, for what the compiler is told.
#
# Needs kernel_sources and temper_debug_optimisation (TemperKernels.cmake), and takes temper_warnings, the
# developer's.
#
# Two levels must share no code: the linker would keep one of two equal inline functions, and that may be
# the one that this processor cannot run. compiled/levels.py makes everything but the kernels local.

set(TEMPER_LEVELS "x86-64;x86-64-v3;x86-64-v4" CACHE STRING "Instruction-set levels of temper::compiled")
find_package(Python3 COMPONENTS Interpreter QUIET)
set(dispatching OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND CMAKE_EXECUTABLE_FORMAT STREQUAL "ELF"
    AND CMAKE_OBJCOPY AND CMAKE_NM AND CMAKE_LINKER AND Python3_FOUND)
    set(dispatching ON)
endif()

add_library(temper_compiled STATIC)
add_library(temper::compiled ALIAS temper_compiled)
set_target_properties(temper_compiled PROPERTIES EXPORT_NAME compiled OUTPUT_NAME temper)
target_link_libraries(temper_compiled PUBLIC temper)
target_compile_definitions(temper_compiled INTERFACE TEMPER_COMPILED=1 TEMPER_LIBRARY=1)

# What a level is compiled with, beside its -march.
add_library(temper_level_flags INTERFACE)
target_link_libraries(temper_level_flags INTERFACE temper)
target_compile_definitions(temper_level_flags INTERFACE TEMPER_LIBRARY=1 TEMPER_COMPILED=0)
target_compile_options(temper_level_flags INTERFACE ${temper_debug_optimisation})
find_package(OpenMP COMPONENTS CXX QUIET)
if(OpenMP_CXX_FOUND)
    target_link_libraries(temper_level_flags INTERFACE OpenMP::OpenMP_CXX)
    target_link_libraries(temper_compiled INTERFACE $<LINK_ONLY:OpenMP::OpenMP_CXX>)
endif()

if(NOT dispatching)
    target_sources(temper_compiled PRIVATE ${kernel_sources})
    target_link_libraries(temper_compiled PRIVATE temper_level_flags)
    return()
endif()

set(level_objects)
set(level_table)
foreach(level IN LISTS TEMPER_LEVELS)
    set(target temper_level_${level})
    add_library(${target} OBJECT ${kernel_sources})
    target_link_libraries(${target} PRIVATE temper_level_flags)
    target_compile_options(${target} PRIVATE ${temper_warnings} -march=${level} -fPIC -Wno-psabi
        $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>
    )
    target_compile_definitions(${target} PRIVATE TEMPER_ABI_ISA=level)
    list(APPEND level_objects $<TARGET_OBJECTS:${target}>)
    set(runs true)
    if(level MATCHES "-(v[34])$")
        set(runs ${CMAKE_MATCH_1})
    endif()
    list(APPEND level_table "{\"${level}\",${runs}}")
endforeach()
string(REPLACE ";" "," level_table "${level_table}")
string(REPLACE ";" "," level_names "${TEMPER_LEVELS}")

set(folder ${PROJECT_BINARY_DIR}/levels)
set(objects)
foreach(source IN LISTS kernel_sources)
    get_filename_component(name ${source} NAME_WE)
    foreach(part IN LISTS TEMPER_LEVELS ITEMS stubs)
        string(REPLACE "-" "_" part ${part})
        list(APPEND objects ${folder}/${name}.${part}.o)
    endforeach()
endforeach()
add_custom_command(OUTPUT ${objects}
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/compiled/levels.py --out ${folder}
        --levels ${level_names} --cxx ${CMAKE_CXX_COMPILER} --nm ${CMAKE_NM} --ld ${CMAKE_LINKER}
        --objcopy ${CMAKE_OBJCOPY} ${level_objects}
    DEPENDS ${level_objects} ${CMAKE_CURRENT_LIST_DIR}/compiled/levels.py
    COMMENT "One table for the kernels of ${level_names}"
    COMMAND_EXPAND_LISTS VERBATIM
)
set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set(select ${CMAKE_CURRENT_LIST_DIR}/compiled/select.cpp)
set_source_files_properties(${select} PROPERTIES COMPILE_DEFINITIONS "TEMPER_LEVELS=${level_table}")
target_sources(temper_compiled PRIVATE ${select} ${objects})
set_target_properties(temper_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
