# cmake -DOUTPUT=file -DFOLDER=migrations -P embed_migrations.cmake: writes the migrations as C++ string literals.
file(GLOB files "${FOLDER}/[0-9]*.sql")
list(SORT files)
set(rows "")
set(number 0)
foreach(file ${files})
  math(EXPR number "${number} + 1")
  get_filename_component(name "${file}" NAME_WE)
  string(REGEX MATCH "^0*([1-9][0-9]*)_" ignored "${name}")
  if(NOT CMAKE_MATCH_1 EQUAL number)
    message(FATAL_ERROR "${name}: migrations are numbered from 1 without gaps, wanted ${number}")
  endif()
  file(READ "${file}" text)
  string(APPEND rows "    {${number}, \"${name}\", R\"migration(${text})migration\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Generated from ${FOLDER}.
#include \"server/storage/postgres/migrations.h\"

namespace ringfence::storage {
namespace {

constexpr Migration kMigrations[] = {
${rows}};

}  // namespace

absl::Span<const Migration> EmbeddedMigrations() { return kMigrations; }

}  // namespace ringfence::storage
")
