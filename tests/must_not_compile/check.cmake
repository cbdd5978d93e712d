# cmake -DCOMPILER=... -DINCLUDES=a|b|c -DSOURCE=file.cpp -P check.cmake
#
# A file of this folder shows one mistake under `#ifdef TEMPER_MUST_FAIL`, and its first line is
# `// expect: <text>`. Without the macro the file must compile: it is the mistake's twin, and shows
# that nothing else in it is wrong. With the macro the compiler must fail and must say the text.

function(refuse text)
    message(NOTICE "${text}")
    message(FATAL_ERROR "must_not_compile")
endfunction()

file(READ ${SOURCE} source)
if(NOT source MATCHES "^// expect: ([^\n]+)\n")
    refuse("${SOURCE} has no '// expect:' line")
endif()
set(expected "${CMAKE_MATCH_1}")

string(REPLACE "|" ";-isystem;" includes "|${INCLUDES}")
set(compile ${COMPILER} -std=c++20 -fsyntax-only${includes} ${SOURCE})

execute_process(COMMAND ${compile} RESULT_VARIABLE failed ERROR_VARIABLE said)
if(failed)
    refuse("the twin does not compile:\n${said}")
endif()

execute_process(COMMAND ${compile} -DTEMPER_MUST_FAIL RESULT_VARIABLE failed ERROR_VARIABLE said)
if(NOT failed)
    refuse("${SOURCE} compiles, but must not")
endif()
string(FIND "${said}" "${expected}" place)
if(place EQUAL -1)
    refuse("${SOURCE} fails without saying '${expected}':\n${said}")
endif()
