# ringfence_library(NAME SOURCES ... PUBLIC ... PRIVATE ...): a static library of ours, with our warnings.
function(ringfence_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE} ringfence_flags)
  # A fuzzer finds its way by the coverage of the code under test, not of its own few lines.
  if(RINGFENCE_FUZZERS)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# What the thread sanitizer must be told of gRPC, for programs and for tests; nothing without it.
set(RINGFENCE_PROGRAM_OBJECTS "")
set(RINGFENCE_TEST_OBJECTS "")
if(RINGFENCE_SANITIZE MATCHES "thread")
  foreach(kind program test)
    add_library(ringfence_tsan_${kind} OBJECT "${CMAKE_SOURCE_DIR}/tests/support/tsan_grpc.cc")
    target_link_libraries(ringfence_tsan_${kind} PRIVATE ringfence_flags)
  endforeach()
  target_compile_definitions(ringfence_tsan_program PRIVATE RINGFENCE_TSAN_WIRE=0)
  target_compile_definitions(ringfence_tsan_test PRIVATE RINGFENCE_TSAN_WIRE=1)
  set(RINGFENCE_PROGRAM_OBJECTS $<TARGET_OBJECTS:ringfence_tsan_program>)
  set(RINGFENCE_TEST_OBJECTS $<TARGET_OBJECTS:ringfence_tsan_test>)
endif()

# ringfence_program(NAME SOURCES ... LIBS ...): a program in build/<preset>/bin.
function(ringfence_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES} ${RINGFENCE_PROGRAM_OBJECTS})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} ringfence_flags)
endfunction()

# ringfence_test(NAME SOURCES ... LIBS ... [ARGS ...] [TIMEOUT s]): a GoogleTest program, one CTest entry.
function(ringfence_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS;ARGS" ${ARGN})
  add_executable(${name} ${arg_SOURCES} ${RINGFENCE_TEST_OBJECTS})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} GTest::gtest_main GTest::gmock ringfence_flags)
  add_test(NAME ${name} COMMAND ${name} ${arg_ARGS} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  # It ends what hangs, nothing else: a sanitizer costs several times as much, and so does a busy machine.
  if(RINGFENCE_SANITIZE)
    math(EXPR arg_TIMEOUT "4 * ${arg_TIMEOUT}")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
endfunction()

# ringfence_fuzzer(NAME SOURCES ... LIBS ... CORPUS dir): with RINGFENCE_FUZZERS a libFuzzer program; always a
# CTest entry that replays the corpus through the same entry point, so that a kept finding stays fixed.
function(ringfence_fuzzer name)
  cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LIBS" ${ARGN})
  if(RINGFENCE_FUZZERS)
    add_executable(${name} ${arg_SOURCES})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_compile_definitions(${name} PRIVATE RINGFENCE_LIBFUZZER)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE ${arg_LIBS} ringfence_flags)
    # scripts/test --fuzz finds the fuzzers, and where each starts from, in this folder.
    file(WRITE "${CMAKE_BINARY_DIR}/fuzzers/${name}" "${arg_CORPUS}\n")
  endif()
  add_executable(${name}_corpus ${arg_SOURCES} "${CMAKE_SOURCE_DIR}/tests/fuzz/replay_corpus.cc")
  target_link_libraries(${name}_corpus PRIVATE ${arg_LIBS} ringfence_flags)
  add_test(NAME ${name}_corpus COMMAND ${name}_corpus "${CMAKE_SOURCE_DIR}/${arg_CORPUS}")
  set_tests_properties(${name}_corpus PROPERTIES TIMEOUT 300)
endfunction()
