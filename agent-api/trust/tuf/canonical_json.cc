#include "ringfence/tuf/canonical_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"

namespace ringfence::tuf {
namespace {

using nlohmann::json;

void AppendString(const std::string& text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out->push_back('\\');
    out->push_back(c);
  }
  out->push_back('"');
}

// As deep as the value, which the parser bounds.
void Append(const json& value, std::string* out) {
  switch (value.type()) {
    case json::value_t::null:
      out->append("null");
      return;
    case json::value_t::boolean:
      out->append(value.get<bool>() ? "true" : "false");
      return;
    case json::value_t::number_integer:
      absl::StrAppend(out, value.get<int64_t>());
      return;
    case json::value_t::number_unsigned:
      absl::StrAppend(out, value.get<uint64_t>());
      return;
    case json::value_t::string:
      AppendString(value.get_ref<const std::string&>(), out);
      return;
    case json::value_t::array: {
      out->push_back('[');
      bool first = true;
      for (const json& item : value) {
        if (!first) out->push_back(',');
        first = false;
        Append(item, out);
      }
      out->push_back(']');
      return;
    }
    case json::value_t::object: {
      // nlohmann's object is a std::map of std::string: its order is that of the bytes, which for UTF-8 is
      // that of the code points.
      out->push_back('{');
      bool first = true;
      for (const auto& [key, item] : value.items()) {
        if (!first) out->push_back(',');
        first = false;
        AppendString(key, out);
        out->push_back(':');
        Append(item, out);
      }
      out->push_back('}');
      return;
    }
    case json::value_t::number_float:
    case json::value_t::binary:
    case json::value_t::discarded:
      break;
  }
  RF_CHECK(false && "a value that strict JSON does not have");
}

}  // namespace

std::string CanonicalJson(const json& value) {
  std::string out;
  Append(value, &out);
  return out;
}

}  // namespace ringfence::tuf
