#include "ringfence/trust/release_terms.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "parse.h"
#include "ringfence/base/platform.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/utf8.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"
#include "ringfence/tuf/fault.h"

namespace ringfence::trust {
namespace {

using nlohmann::json;
using tuf::Place;

constexpr size_t kMaxCustomBytes = 256 << 10;
constexpr size_t kMaxEntries = 4096;

// A string of at least one character that is fit to show.
absl::StatusOr<std::string> Word(const Place& place, const char* name) {
  ASSIGN_OR_RETURN(std::string word, place.String(name));
  if (word.empty() || FirstBadByte(word).has_value())
    return place.At(name, *place.value).Wrong(word, "readable text");
  return word;
}

absl::StatusOr<bool> OneOf(const Place& place, const char* name, absl::string_view yes,
                           absl::string_view no) {
  ASSIGN_OR_RETURN(const std::string word, place.String(name));
  if (word != yes && word != no)
    return place.At(name, *place.value).Wrong(word, absl::StrCat("\"", yes, "\" or \"", no, "\""));
  return word == yes;
}

absl::StatusOr<content::SensorVersion> Sensor(const Place& place, const char* name) {
  ASSIGN_OR_RETURN(const std::string text, place.String(name));
  const auto version = content::SensorVersion::Parse(text);
  if (!version.ok()) return place.At(name, *place.value).Wrong(text, "a version such as 7.11.0");
  return *version;
}

absl::Status ReadRequires(const Place& place, ReleaseTerms* terms) {
  ASSIGN_OR_RETURN(terms->sensor_min, Sensor(place, "sensor_min"));
  ASSIGN_OR_RETURN(terms->sensor_max, Sensor(place, "sensor_max"));
  if (terms->sensor_max < terms->sensor_min)
    return place.Wrong("sensor_max below sensor_min", "a range that some sensor is in");
  ASSIGN_OR_RETURN(const Place schema, place.Object("schema"));
  for (const auto& [name, value] : schema.value->items()) {
    const bool small =
        value.is_number_integer() && value.get<int64_t>() >= 1 && value.get<int64_t>() <= 65535;
    if (!small) return schema.At(name, value).Wrong(value.dump(), "a number of fields, 1 to 65535");
    terms->schema[name] = value.get<int>();
  }
  return absl::OkStatus();
}

absl::Status ReadQualification(const Place& list, ReleaseTerms* terms) {
  if (list.value->size() > kMaxEntries) return list.Wrong(absl::StrCat(list.value->size()), "fewer");
  for (size_t i = 0; i < list.value->size(); ++i) {
    const Place item{&(*list.value)[i], list.role, absl::StrCat(list.path, "[", i, "]")};
    if (!item.value->is_object()) return item.Wrong(item.value->type_name(), "an object");
    QualificationRef ref;
    ASSIGN_OR_RETURN(const std::string hex, item.String("envelope_sha256"));
    const auto digest = Digest::Parse(hex);
    if (!digest.ok()) return item.Wrong(hex, "64 lower-case hex digits");
    ref.envelope = *digest;
    ASSIGN_OR_RETURN(ref.lab, item.String("lab"));
    terms->qualification.push_back(std::move(ref));
  }
  return absl::OkStatus();
}

absl::Status CheckPath(const Place& place, absl::string_view path, const ReleaseTerms& terms) {
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/');
  const absl::string_view kind = terms.kind == ReleaseKind::kContent ? "content" : "sensor";
  if (parts.size() >= 3 && parts[0] == kind && parts[1] == terms.channel) return absl::OkStatus();
  return place.Wrong(absl::StrCat(kind, " of ", terms.channel),
                     absl::StrCat("what the path ", absl::Utf8SafeCEscape(path), " says"));
}

}  // namespace

absl::StatusOr<ReleaseTerms> ParseReleaseTerms(absl::string_view path, absl::string_view custom) {
  const absl::StatusOr<json> parsed = ParseStrictJson(custom, kMaxCustomBytes);
  if (!parsed.ok() || !parsed->is_object()) {
    return tuf::Failure(
        tuf::Fault::kMalformed, path,
        absl::StrCat("custom: ", parsed.ok() ? "found no object, wanted one" : parsed.status().message()));
  }
  const Place place{&*parsed, std::string(path), "custom"};
  ReleaseTerms terms;
  ASSIGN_OR_RETURN(const bool content, OneOf(place, "kind", "content", "sensor"));
  terms.kind = content ? ReleaseKind::kContent : ReleaseKind::kSensor;
  ASSIGN_OR_RETURN(terms.channel, place.String("channel"));
  if (!IsSlug(terms.channel)) return place.At("channel", *parsed).Wrong(terms.channel, "[a-z0-9-]{1,63}");
  ASSIGN_OR_RETURN(terms.version, Word(place, "version"));
  ASSIGN_OR_RETURN(const int64_t serial, place.Integer("serial", 1));
  ASSIGN_OR_RETURN(const int64_t floor, place.Integer("rollback_floor", 0));
  if (floor > serial)
    return place.At("rollback_floor", *parsed).Wrong(absl::StrCat(floor), "at most the serial");
  terms.serial = static_cast<uint64_t>(serial);
  terms.rollback_floor = static_cast<uint64_t>(floor);
  ASSIGN_OR_RETURN(const std::string published, place.String("published_at"));
  const auto time = tuf::ParseTimeText(published);
  if (!time.ok())
    return place.At("published_at", *parsed).Wrong(published, "a time such as 2026-11-22T04:09:00Z");
  terms.published_at = *time;
  ASSIGN_OR_RETURN(terms.urgent, OneOf(place, "urgency", "urgent", "normal"));
  ASSIGN_OR_RETURN(const Place platforms, place.Array("platforms"));
  ASSIGN_OR_RETURN(terms.platforms, tuf::ParseStrings(platforms, kMaxEntries));
  ASSIGN_OR_RETURN(const Place requires_place, place.Object("requires"));
  RETURN_IF_ERROR(ReadRequires(requires_place, &terms));
  ASSIGN_OR_RETURN(const Place qualification, place.Array("qualification"));
  RETURN_IF_ERROR(ReadQualification(qualification, &terms));
  ASSIGN_OR_RETURN(terms.revoked, place.Bool("revoked"));
  RETURN_IF_ERROR(CheckPath(place, path, terms));
  return terms;
}

absl::StatusOr<std::string> SerializeReleaseTerms(absl::string_view path, const ReleaseTerms& terms) {
  json qualification = json::array();
  for (const QualificationRef& ref : terms.qualification)
    qualification.push_back({{"envelope_sha256", ref.envelope.ToString()}, {"lab", ref.lab}});
  const json custom = {{"kind", terms.kind == ReleaseKind::kContent ? "content" : "sensor"},
                       {"channel", terms.channel},
                       {"version", terms.version},
                       {"serial", terms.serial},
                       {"published_at", tuf::TimeText(terms.published_at)},
                       {"urgency", terms.urgent ? "urgent" : "normal"},
                       {"rollback_floor", terms.rollback_floor},
                       {"platforms", terms.platforms},
                       {"requires",
                        {{"sensor_min", terms.sensor_min.ToString()},
                         {"sensor_max", terms.sensor_max.ToString()},
                         {"schema", terms.schema.empty() ? json::object() : json(terms.schema)}}},
                       {"qualification", std::move(qualification)},
                       {"revoked", terms.revoked}};
  std::string text = tuf::CanonicalJson(custom);
  RETURN_IF_ERROR(ParseReleaseTerms(path, text).status());
  return text;
}

namespace {

// "os=debian12,kernel=6.1.0-18": all of these labels.
bool HasLabels(absl::string_view entry, const std::set<std::pair<std::string, std::string>>& labels) {
  if (!absl::StrContains(entry, '=')) return false;
  for (const absl::string_view pair : absl::StrSplit(entry, ',')) {
    const std::pair<std::string, std::string> halves = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (labels.count(halves) == 0) return false;
  }
  return true;
}

}  // namespace

std::string CoveringPlatform(const std::vector<std::string>& platforms, absl::string_view host,
                             const std::set<std::pair<std::string, std::string>>& labels) {
  for (const std::string& entry : platforms) {
    if (entry == host) return entry;
    if (entry.empty() || entry.back() != '+') continue;
    std::string least = entry.substr(0, entry.size() - 1);
    if (IsSameOrLaterPlatform(host, least)) return least;
  }
  // What names this host more closely comes first.
  for (const std::string& entry : platforms) {
    if (HasLabels(entry, labels)) return entry;
  }
  for (const std::string& entry : platforms) {
    if (entry == "any") return entry;
  }
  return "";
}

}  // namespace ringfence::trust
