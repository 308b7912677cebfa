#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "bytes.h"
#include "crc32c.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/content/model.h"

namespace ringfence::content {
namespace {

void Put(std::string* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

void PutAt(std::string* out, uint64_t at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) (*out)[at + static_cast<uint64_t>(i)] = static_cast<char>(value >> (8 * i));
}

void Align(std::string* out) {
  out->resize((out->size() + 7) / 8 * 8, '\0');
}

// Lays the strings down in the order in which they are named.
class Strings {
 public:
  void Ref(std::string* out, absl::string_view text) {
    Put(out, bytes_.size(), 4);
    Put(out, text.size(), 4);
    bytes_.append(text.data(), text.size());
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

std::string Identity(const Content& content, Strings* strings) {
  std::string out;
  strings->Ref(&out, content.channel);
  strings->Ref(&out, content.version);
  return out;
}

std::string Fields(const Content& content, Strings* strings) {
  std::string out;
  for (const Field& field : content.fields) {
    strings->Ref(&out, field.name);
    Put(&out, static_cast<uint64_t>(field.type), 8);
  }
  return out;
}

std::string Rules(const Content& content, Strings* strings) {
  std::string rules, conditions;
  uint64_t count = 0;
  for (const Rule& rule : content.rules) {
    strings->Ref(&rules, rule.name);
    Put(&rules, count, 4);
    Put(&rules, rule.conditions.size(), 4);
    Put(&rules, static_cast<uint64_t>(rule.action), 8);
    for (const Condition& condition : rule.conditions) {
      Put(&conditions, condition.field, 2);
      Put(&conditions, static_cast<uint64_t>(condition.op), 6);
      strings->Ref(&conditions, condition.text);
      Put(&conditions, static_cast<uint64_t>(condition.number), 8);
    }
    count += rule.conditions.size();
  }
  std::string out;
  Put(&out, content.rules.size(), 4);
  Put(&out, count, 4);
  return out + rules + conditions;
}

std::string Header(const Content& content, uint64_t total, uint32_t sections) {
  std::string out(Text(kMagic));
  Put(&out, kMajor, 2);
  Put(&out, 0, 2);
  Put(&out, kHeaderBytes, 4);
  Put(&out, total, 8);
  Put(&out, sections, 4);
  Put(&out, 0, 4);
  Put(&out, content.serial, 8);
  Put(&out, content.schema_id, 4);
  Put(&out, content.fields.size(), 2);
  Put(&out, 0, 2);
  Put(&out, content.sensor_min.number, 4);
  Put(&out, content.sensor_max.number, 4);
  Put(&out, 0, 8);  // checksum and reserved
  const ByteSpan bytes(reinterpret_cast<const uint8_t*>(out.data()), out.size());
  PutAt(&out, header::kCrcAt, Crc32c(bytes), 4);
  return out;
}

std::string Trailer(absl::string_view before, const trust::SigningKey* key) {
  const Digest digest = Sha256(before);
  std::string out(digest.raw());
  if (key == nullptr) {
    out.append(8 + 64, '\0');
  } else {
    std::string message(kSigned, sizeof(kSigned));
    message.append(digest.raw().data(), digest.raw().size());
    const Digest key_id = key->public_key().KeyId();
    const trust::Signature signature = key->Sign(message);
    out.append(key_id.raw().data(), 8);
    out.append(reinterpret_cast<const char*>(signature.data()), signature.size());
  }
  out.append(Text(kEndMagic).data(), kEndMagic.size());
  return out;
}

// Numbers that the format cannot hold must not be cut to ones that it can.
absl::Status CheckCounts(const Content& content) {
  if (content.fields.size() > kMaxFields || content.rules.size() > kMaxRules) {
    return absl::InvalidArgumentError(absl::StrCat("found ", content.fields.size(), " fields and ",
                                                   content.rules.size(), " rules, wanted at most ",
                                                   kMaxFields, " and ", kMaxRules));
  }
  uint64_t bytes = 0;
  const auto add = [&](const std::string& text) { bytes += std::min<uint64_t>(text.size(), kMaxFileBytes); };
  for (const Rule& rule : content.rules) {
    if (rule.conditions.size() > kMaxConditionsPerRule) {
      return absl::InvalidArgumentError(absl::StrCat("rule '", rule.name, "': found ", rule.conditions.size(),
                                                     " conditions, wanted at most ", kMaxConditionsPerRule));
    }
    add(rule.name);
    for (const Condition& condition : rule.conditions) add(condition.text);
    if (bytes > kMaxFileBytes) return absl::InvalidArgumentError("the texts are larger than a file may be");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> Build(const Content& content, const trust::SigningKey* key,
                                  std::optional<std::span<const SensorSchema>> sensors) {
  RETURN_IF_ERROR(CheckCounts(content));
  Strings strings;
  std::string parts[kKnownSections];
  parts[0] = Identity(content, &strings);
  parts[1] = Fields(content, &strings);
  parts[2] = Rules(content, &strings);
  parts[3] = strings.bytes();

  std::string table, body;
  const uint64_t body_at = kHeaderBytes + kKnownSections * kTableEntryBytes;
  for (uint32_t i = 0; i < kKnownSections; ++i) {
    Put(&table, i + 1, 4);
    Put(&table, 0, 4);
    Put(&table, body_at + body.size(), 8);
    Put(&table, parts[i].size(), 8);
    const Digest digest = Sha256(parts[i]);
    table.append(digest.raw().data(), digest.raw().size());
    body += parts[i];
    Align(&body);
  }
  std::string file = Header(content, body_at + body.size() + kTrailerBytes, kKnownSections) + table + body;
  file += Trailer(file, key);

  Checks checks;
  checks.build_keys = std::nullopt;
  if (key != nullptr) checks.build_keys = std::span(&key->public_key(), 1);
  checks.sensors = sensors;
  const auto validated = Validate({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, checks);
  if (const Rejection* rejection = std::get_if<Rejection>(&validated)) return ToStatus(*rejection);
  return file;
}

}  // namespace ringfence::content
