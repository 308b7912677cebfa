# Files of a folder as one table of C++ string literals.
#
#   ringfence_embed(OUTPUT_VARIABLE FOLDER folder PATTERN glob COMMENT words
#                   HEADER header NAMESPACE namespace TYPE struct FUNCTION name [NUMBERED])
#
# sets OUTPUT_VARIABLE to a generated source that defines `absl::Span<const TYPE> FUNCTION()`, declared in HEADER. A row is
# {file name, text}; with NUMBERED, for files named NNNN_words.sql, {number, name without the ending, text}, and the numbers
# must run from 1 without gaps.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(RINGFENCE_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

  function(ringfence_embed output_variable)
    cmake_parse_arguments(PARSE_ARGV 1 ARG "NUMBERED" "FOLDER;PATTERN;COMMENT;HEADER;NAMESPACE;TYPE;FUNCTION" "")
    set(folder "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FOLDER}")
    set(output "${CMAKE_CURRENT_BINARY_DIR}/embedded_${ARG_FOLDER}.cc")
    file(GLOB files CONFIGURE_DEPENDS "${folder}/${ARG_PATTERN}")
    add_custom_command(
      OUTPUT "${output}"
      COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${output}" "-DFOLDER=${folder}" "-DPATTERN=${ARG_PATTERN}" "-DHEADER=${ARG_HEADER}"
              "-DNAMESPACE=${ARG_NAMESPACE}" "-DTYPE=${ARG_TYPE}" "-DFUNCTION=${ARG_FUNCTION}" "-DNUMBERED=${ARG_NUMBERED}"
              -P "${RINGFENCE_EMBED_SCRIPT}"
      DEPENDS "${RINGFENCE_EMBED_SCRIPT}" ${files}
      COMMENT "${ARG_COMMENT}" VERBATIM)
    set(${output_variable} "${output}" PARENT_SCOPE)
  endfunction()
  return()
endif()

file(GLOB files "${FOLDER}/${PATTERN}")
list(SORT files)
set(rows "")
set(number 0)
foreach(file ${files})
  math(EXPR number "${number} + 1")
  get_filename_component(name "${file}" NAME)
  set(first "")
  if(NUMBERED)
    get_filename_component(name "${file}" NAME_WE)
    string(REGEX MATCH "^0*([1-9][0-9]*)_" ignored "${name}")
    if(NOT CMAKE_MATCH_1 EQUAL number)
      message(FATAL_ERROR "${name}: numbered from 1 without gaps, wanted ${number}")
    endif()
    set(first "${number}, ")
  endif()
  file(READ "${file}" text)
  string(APPEND rows "    {${first}\"${name}\", R\"embedded(${text})embedded\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Generated from ${FOLDER}.
#include \"${HEADER}\"

namespace ${NAMESPACE} {
namespace {

constexpr ${TYPE} kRows[] = {
${rows}};

}  // namespace

absl::Span<const ${TYPE}> ${FUNCTION}() { return kRows; }

}  // namespace ${NAMESPACE}
")
