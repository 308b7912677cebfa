#include "ringfence/trust/strict_json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ringfence::trust {
namespace {

using nlohmann::json;

// Goes over the text once before anything is built from it.
class Gate : public nlohmann::json_sax<json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override {
    return value >= -kMaxJsonInteger || Refuse("an integer below -2^53");
  }
  bool number_unsigned(number_unsigned_t value) override {
    return value <= static_cast<uint64_t>(kMaxJsonInteger) || Refuse("an integer above 2^53");
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Refuse(text.find_first_of(".eE") == std::string::npos ? "an integer beyond 2^53"
                                                                 : "a number with a fraction or an exponent");
  }
  bool string(string_t& text) override {
    return text.find('\0') == std::string::npos || Refuse("a zero byte in a string");
  }
  bool binary(binary_t&) override { return Refuse("binary data"); }
  bool start_object(std::size_t) override { return Open(); }
  bool key(string_t& text) override {
    if (text.find('\0') != std::string::npos) return Refuse("a zero byte in a key");
    return keys_.back().insert(text).second || Refuse("a key that its object has already");
  }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    if (why_.empty()) why_ = absl::StrCat("no JSON at byte ", position);
    return false;
  }

  const std::string& why() const { return why_; }

 private:
  bool Open() {
    keys_.emplace_back();
    return keys_.size() <= kMaxJsonDepth || Refuse(absl::StrCat("more than ", kMaxJsonDepth, " levels"));
  }
  bool Close() {
    keys_.pop_back();
    return true;
  }
  bool Refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }

  std::vector<std::set<std::string>> keys_;  // of the objects that are open; an array's is empty
  std::string why_;
};

}  // namespace

absl::StatusOr<json> ParseStrictJson(absl::string_view text, size_t most) {
  if (text.size() > most) {
    return absl::ResourceExhaustedError(absl::StrCat("found ", text.size(), " bytes, wanted at most ", most));
  }
  Gate gate;
  if (!json::sax_parse(text.begin(), text.end(), &gate)) {
    return absl::InvalidArgumentError(absl::StrCat("found ", gate.why(), ", wanted strict JSON"));
  }
  json parsed = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return absl::InvalidArgumentError("found no JSON, wanted strict JSON");
  return parsed;
}

}  // namespace ringfence::trust
