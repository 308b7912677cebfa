# Language level, warnings, sanitizers, and the fast tools that are used when present.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Every program lands in build/<preset>/bin, whatever folder it is written in.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

set(RINGFENCE_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined or thread")
option(RINGFENCE_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)

# Applied to our own targets only, through ringfence_library and ringfence_program.
add_library(ringfence_flags INTERFACE)
target_compile_options(ringfence_flags INTERFACE
  -Wall -Wextra -Werror -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(ringfence_flags INTERFACE -Wthread-safety)
endif()

# Sanitizers must reach every object, generated code included.
if(RINGFENCE_SANITIZE)
  add_compile_options(-fsanitize=${RINGFENCE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RINGFENCE_SANITIZE})
  if(RINGFENCE_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

find_program(RINGFENCE_CCACHE ccache)
if(RINGFENCE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${RINGFENCE_CCACHE}")
endif()

# A faster linker when there is one; the result does not depend on it.
find_program(RINGFENCE_MOLD NAMES mold)
if(RINGFENCE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
