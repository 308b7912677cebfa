#include "ringfence/trust/junit.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/utf8.h"
#include "xml.h"

namespace ringfence::trust {
namespace {

std::string Attribute(const XmlElement& element, const char* name) {
  const auto found = element.attributes.find(name);
  return found == element.attributes.end() ? "" : found->second;
}

// What the properties of a suite say, over what is known from around it.
RanOn WithProperties(const XmlElement& suite, RanOn ran_on) {
  for (const XmlElement& properties : suite.children) {
    if (properties.name != "properties") continue;
    for (const XmlElement& property : properties.children) {
      if (property.name != "property") continue;
      if (Attribute(property, "name") == "platform") ran_on.platform = Attribute(property, "value");
      if (Attribute(property, "name") == "sensor") ran_on.sensor = Attribute(property, "value");
    }
  }
  return ran_on;
}

absl::StatusOr<TestName> NameOf(const XmlElement& testcase, const RanOn& ran_on) {
  const std::string text = Attribute(testcase, "name");
  const std::string shown = absl::CHexEscape(text.substr(0, 200));
  for (const std::string& part : {text, ran_on.platform, ran_on.sensor}) {
    if (!FirstBadByte(part).has_value()) continue;
    return absl::InvalidArgumentError(absl::StrCat("testcase '", shown, "': found '",
                                                   absl::CHexEscape(part.substr(0, 200)),
                                                   "', wanted UTF-8 without control characters"));
  }
  TestName name;
  if (ParseTestName(text, &name)) return name;
  if (text.empty() || absl::StrContains(text, '|')) {
    return absl::InvalidArgumentError(
        absl::StrCat("testcase.name: found '", shown, "', wanted TEST or PLATFORM|SENSOR|TEST"));
  }
  if (ran_on.platform.empty() || ran_on.sensor.empty() || absl::StrContains(ran_on.platform, '|') ||
      absl::StrContains(ran_on.sensor, '|')) {
    return absl::InvalidArgumentError(absl::StrCat(
        "testcase '", shown, "': found ", ran_on.platform.empty() ? "no platform" : "no sensor",
        ", wanted both: as PLATFORM|SENSOR|TEST, as properties of the suite, or given beside the file"));
  }
  return TestName{ran_on.platform, ran_on.sensor, text};
}

bool IsSkipped(const XmlElement& testcase) {
  for (const XmlElement& child : testcase.children) {
    if (child.name == "skipped") return true;
  }
  // GoogleTest says it in an attribute.
  return Attribute(testcase, "status") == "notrun" || Attribute(testcase, "result") == "skipped" ||
         Attribute(testcase, "result") == "suppressed";
}

bool HasFailed(const XmlElement& testcase) {
  for (const XmlElement& child : testcase.children) {
    if (child.name == "failure" || child.name == "error") return true;
  }
  return false;
}

// The number of testcases in it.
absl::StatusOr<int> AddSuite(const XmlElement& suite, const RanOn& around, TestResults* results) {
  const RanOn ran_on = WithProperties(suite, around);
  int count = 0;
  for (const XmlElement& child : suite.children) {
    if (child.name == "testsuite") {
      ASSIGN_OR_RETURN(const int inside, AddSuite(child, ran_on, results));
      count += inside;
    }
    if (child.name != "testcase") continue;
    ASSIGN_OR_RETURN(TestName name, NameOf(child, ran_on));
    std::set<TestName>& outcome = HasFailed(child)   ? results->failed
                                  : IsSkipped(child) ? results->skipped
                                                     : results->passed;
    outcome.insert(std::move(name));
    ++count;
  }
  return count;
}

}  // namespace

absl::Status AddJUnit(absl::string_view xml, const RanOn& ran_on, TestResults* results) {
  if (xml.size() > kMaxResultBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", xml.size(), " bytes, wanted results of at most ", kMaxResultBytes));
  }
  ASSIGN_OR_RETURN(const XmlElement root, ParseXml(xml));
  if (root.name != "testsuites" && root.name != "testsuite") {
    return absl::InvalidArgumentError(absl::StrCat("found <", absl::Utf8SafeCEscape(root.name.substr(0, 60)),
                                                   ">, wanted <testsuites> or <testsuite>"));
  }
  ASSIGN_OR_RETURN(const int count, AddSuite(root, ran_on, results));
  if (count == 0) return absl::InvalidArgumentError("found no testcase, wanted at least one");
  for (const TestName& name : results->failed) {
    results->skipped.erase(name);
    results->passed.erase(name);
  }
  for (const TestName& name : results->skipped) results->passed.erase(name);
  return absl::OkStatus();
}

}  // namespace ringfence::trust
