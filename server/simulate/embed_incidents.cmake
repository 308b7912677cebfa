# cmake -DOUTPUT=file -DFOLDER=incidents -P embed_incidents.cmake: writes the incidents as C++ string literals.
file(GLOB files "${FOLDER}/*.yaml")
list(SORT files)
set(rows "")
foreach(file ${files})
  get_filename_component(name "${file}" NAME)
  file(READ "${file}" text)
  string(APPEND rows "    {\"${name}\", R\"incident(${text})incident\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Generated from ${FOLDER}.
#include \"server/simulate/incident.h\"

namespace ringfence::replay {
namespace {

constexpr IncidentFile kFiles[] = {
${rows}};

}  // namespace

absl::Span<const IncidentFile> IncidentFiles() { return kFiles; }

}  // namespace ringfence::replay
")
