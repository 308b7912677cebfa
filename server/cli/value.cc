#include "server/cli/value.h"

#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace ringfence::cli {
namespace {

// Length of the valid UTF-8 sequence at the start of `text`; 0 if there is none.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  size_t length = first < 0x80                    ? 1
                  : first >= 0xc2 && first < 0xe0 ? 2
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4
                                                  : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
  if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogate
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

// A JSON string, which is a YAML double-quoted one too.
std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const unsigned char c = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[0];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7f) {
      out += absl::StrFormat("\\u%04x", c);
    } else {
      out += std::string(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out + "\"";
}

std::string Number(double value) {
  if (!std::isfinite(value)) return "null";
  for (int digits = 6; digits < 18; ++digits) {
    char text[40];
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value) return text;
  }
  return absl::StrCat(value);
}

struct Scalar {
  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(int64_t v) const { return absl::StrCat(v); }
  std::string operator()(uint64_t v) const { return absl::StrCat(v); }
  std::string operator()(double v) const { return Number(v); }
  std::string operator()(const std::string& v) const { return Quoted(v); }
  std::string operator()(const List&) const { return "[]"; }
  std::string operator()(const Map&) const { return "{}"; }
};

// `indent` < 0: on one line.
void Json(const Value& value, int indent, std::string& out) {
  const auto line = [&](int at) {
    if (indent >= 0) out += "\n" + std::string(static_cast<size_t>(at) * 2, ' ');
  };
  const int next = indent < 0 ? indent : indent + 1;
  const auto* list = std::get_if<List>(&value.data);
  const auto* map = std::get_if<Map>(&value.data);
  if (list != nullptr && !list->empty()) {
    out += '[';
    for (size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out += ',';
      line(next);
      Json((*list)[i], next, out);
    }
    line(indent);
    out += ']';
  } else if (map != nullptr && !map->empty()) {
    out += '{';
    for (size_t i = 0; i < map->size(); ++i) {
      if (i > 0) out += ',';
      line(next);
      out += Quoted((*map)[i].first) + (indent < 0 ? ":" : ": ");
      Json((*map)[i].second, next, out);
    }
    line(indent);
    out += '}';
  } else {
    out += std::visit(Scalar(), value.data);
  }
}

// May the text stand in YAML as it is? Generous quoting is ugly, wrong plain text is wrong.
bool IsPlain(absl::string_view text) {
  if (text.empty()) return false;
  bool letter = false;
  for (const char c : text) {
    const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    letter |= alpha;
    if (!alpha && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.' && c != '/' && c != '%')
      return false;
  }
  if (text[0] == '-' || text[0] == '.' || text[0] == '%') return false;
  if (!letter) return text.back() == '%';
  // Words and numbers of some YAML dialect.
  static constexpr const char* kTaken[] = {"null", "true", "false", "yes", "no", "on",
                                           "off",  "y",    "n",     "inf", "nan"};
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (const char* word : kTaken) {
    if (lower == word) return false;
  }
  return !(text[0] >= '0' && text[0] <= '9') ||
         lower.find_first_not_of("0123456789.ex_abcdf-") != std::string::npos;
}

std::string YamlText(const std::string& text) {
  return IsPlain(text) ? text : Quoted(text);
}

bool IsLeaf(const Value& value) {
  const auto* list = std::get_if<List>(&value.data);
  const auto* map = std::get_if<Map>(&value.data);
  return (list == nullptr || list->empty()) && (map == nullptr || map->empty());
}

std::string YamlLeaf(const Value& value) {
  const auto* text = std::get_if<std::string>(&value.data);
  return text != nullptr ? YamlText(*text) : std::visit(Scalar(), value.data);
}

// Short lists of leaves stand on one line: [a, b].
bool IsFlow(const Value& value) {
  const auto* list = std::get_if<List>(&value.data);
  if (list == nullptr || list->empty()) return false;
  size_t width = 0;
  for (const Value& item : *list) {
    if (!IsLeaf(item)) return false;
    width += YamlLeaf(item).size() + 2;
  }
  return width < 80;
}

std::string Flow(const Value& value) {
  std::string out = "[";
  for (const Value& item : std::get<List>(value.data))
    absl::StrAppend(&out, out.size() > 1 ? ", " : "", YamlLeaf(item));
  return out + "]";
}

void Yaml(const Value& value, size_t indent, std::string& out);

void YamlMember(const Value& value, size_t indent, std::string& out) {
  if (IsLeaf(value)) {
    out += " " + YamlLeaf(value) + "\n";
  } else if (IsFlow(value)) {
    out += " " + Flow(value) + "\n";
  } else {
    out += "\n";
    Yaml(value, indent + 2, out);
  }
}

void Yaml(const Value& value, size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  if (const auto* list = std::get_if<List>(&value.data); list != nullptr && !list->empty()) {
    for (const Value& item : *list) {
      if (IsLeaf(item)) {
        out += margin + "- " + YamlLeaf(item) + "\n";
      } else if (IsFlow(item)) {
        out += margin + "- " + Flow(item) + "\n";
      } else {
        std::string block;
        Yaml(item, indent + 2, block);
        block.replace(0, indent + 2, margin + "- ");  // the first line follows the dash
        out += block;
      }
    }
  } else if (const auto* map = std::get_if<Map>(&value.data); map != nullptr && !map->empty()) {
    for (const auto& [key, member] : *map) {
      out += margin + YamlText(key) + ":";
      YamlMember(member, indent, out);
    }
  } else {
    out += margin + YamlLeaf(value) + "\n";
  }
}

}  // namespace

std::string ToJson(const Value& value) {
  std::string out;
  Json(value, 0, out);
  return out + "\n";
}

std::string ToJsonLine(const Value& value) {
  std::string out;
  Json(value, -1, out);
  return out;
}

std::string ToYaml(const Value& value) {
  std::string out;
  Yaml(value, 0, out);
  return out;
}

}  // namespace ringfence::cli
