#include "xml.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::trust {
namespace {

bool IsSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool IsNameByte(char c, bool first) {
  const bool letter =
      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (c & 0x80) != 0;
  return letter || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

void AppendUtf8(uint32_t point, std::string* out) {
  const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(absl::string_view text) : text_(text) {}

  absl::StatusOr<XmlElement> Document() {
    if (absl::StartsWith(text_, "\xef\xbb\xbf")) at_ = 3;
    RETURN_IF_ERROR(SkipToElement(/*text_allowed=*/false));
    if (Done() || Looking("</")) return Fault("no element");
    ASSIGN_OR_RETURN(XmlElement root, Element());
    RETURN_IF_ERROR(SkipToElement(/*text_allowed=*/false));
    if (!Done()) return Fault("something behind the end of the document");
    return root;
  }

 private:
  bool Done() const { return at_ >= text_.size(); }
  bool Looking(absl::string_view what) const { return absl::StartsWith(text_.substr(at_), what); }
  absl::Status Fault(absl::string_view what) const {
    const auto head = text_.substr(0, std::min(at_, text_.size()));
    return absl::InvalidArgumentError(absl::StrCat("line ", 1 + std::count(head.begin(), head.end(), '\n'),
                                                   ": found ", what, ", wanted XML"));
  }
  void SkipSpace() {
    while (!Done() && IsSpace(text_[at_])) ++at_;
  }
  absl::Status SkipBehind(absl::string_view end) {
    const size_t found = text_.find(end, at_);
    if (found == absl::string_view::npos) return Fault(absl::StrCat("no ", end));
    at_ = found + end.size();
    return absl::OkStatus();
  }

  // Past comments, instructions and, inside an element, text and CDATA; up to a tag or the end.
  absl::Status SkipToElement(bool text_allowed) {
    while (!Done()) {
      if (Looking("<!--")) {
        RETURN_IF_ERROR(SkipBehind("-->"));
      } else if (Looking("<?")) {
        RETURN_IF_ERROR(SkipBehind("?>"));
      } else if (text_allowed && Looking("<![CDATA[")) {
        RETURN_IF_ERROR(SkipBehind("]]>"));
      } else if (Looking("<!")) {
        return Fault("a declaration such as DOCTYPE");
      } else if (text_[at_] == '<') {
        return absl::OkStatus();
      } else if (text_allowed || IsSpace(text_[at_])) {
        ++at_;
      } else {
        return Fault("text outside of all elements");
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> NameHere() {
    const size_t start = at_;
    while (!Done() && IsNameByte(text_[at_], at_ == start)) ++at_;
    if (at_ == start) return Fault("no name");
    return std::string(text_.substr(start, at_ - start));
  }

  absl::Status Entity(std::string* out) {
    const size_t end = text_.find(';', at_);
    if (end == absl::string_view::npos || end - at_ > 12) return Fault("& without its ;");
    const absl::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    constexpr std::pair<const char*, char> kNamed[] = {
        {"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
    for (const auto& [known, c] : kNamed) {
      if (name != known) continue;
      out->push_back(c);
      at_ = end + 1;
      return absl::OkStatus();
    }
    uint32_t point = 0;
    const bool hex = absl::StartsWith(name, "#x");
    const bool number = hex                           ? absl::SimpleHexAtoi(name.substr(2), &point)
                        : absl::StartsWith(name, "#") ? absl::SimpleAtoi(name.substr(1), &point)
                                                      : false;
    if (!number || point == 0 || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
      return Fault("an entity that XML does not have");
    }
    AppendUtf8(point, out);
    at_ = end + 1;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Value() {
    if (Done() || (text_[at_] != '"' && text_[at_] != '\'')) return Fault("no quotes around a value");
    const char quote = text_[at_++];
    std::string value;
    while (!Done() && text_[at_] != quote) {
      if (text_[at_] == '<') return Fault("< in a value");
      if (text_[at_] == '&') {
        RETURN_IF_ERROR(Entity(&value));
      } else {
        value.push_back(text_[at_++]);
      }
    }
    if (Done()) return Fault("no end of a value");
    ++at_;
    return value;
  }

  absl::StatusOr<XmlElement> Element() {
    if (++depth_ > kMaxXmlDepth) return Fault(absl::StrCat("more than ", kMaxXmlDepth, " levels"));
    XmlElement element;
    ++at_;  // the bracket
    ASSIGN_OR_RETURN(element.name, NameHere());
    while (true) {
      const size_t before = at_;
      SkipSpace();
      if (Looking("/>")) {
        at_ += 2;
        --depth_;
        return element;
      }
      if (Looking(">")) break;
      if (before == at_) return Fault("no blank before an attribute");
      ASSIGN_OR_RETURN(const std::string name, NameHere());
      SkipSpace();
      if (!Looking("=")) return Fault("an attribute without a value");
      ++at_;
      SkipSpace();
      ASSIGN_OR_RETURN(std::string value, Value());
      if (!element.attributes.emplace(name, std::move(value)).second) return Fault("an attribute twice");
    }
    ++at_;
    while (true) {
      RETURN_IF_ERROR(SkipToElement(/*text_allowed=*/true));
      if (Done()) return Fault(absl::StrCat("no </", element.name, ">"));
      if (Looking("</")) break;
      ASSIGN_OR_RETURN(XmlElement child, Element());
      element.children.push_back(std::move(child));
    }
    at_ += 2;
    ASSIGN_OR_RETURN(const std::string end, NameHere());
    SkipSpace();
    if (end != element.name || !Looking(">"))
      return Fault(absl::StrCat("another end than </", element.name, ">"));
    ++at_;
    --depth_;
    return element;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

absl::StatusOr<XmlElement> ParseXml(absl::string_view text) {
  return Parser(text).Document();
}

}  // namespace ringfence::trust
