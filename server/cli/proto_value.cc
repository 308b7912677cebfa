#include "server/cli/proto_value.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/cli/human.h"

namespace ringfence::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// One value of a field; `index` < 0 for a field that is not repeated.
Value FieldValue(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const auto get = [&](auto one, auto many) {
    return index < 0 ? (r.*one)(message, &field) : (r.*many)(message, &field, index);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return get(&Reflection::GetBool, &Reflection::GetRepeatedBool);
    case FieldDescriptor::CPPTYPE_INT32:
      return int64_t{get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32)};
    case FieldDescriptor::CPPTYPE_INT64:
      return int64_t{get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64)};
    case FieldDescriptor::CPPTYPE_UINT32:
      return uint64_t{get(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32)};
    case FieldDescriptor::CPPTYPE_UINT64:
      return uint64_t{get(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64)};
    case FieldDescriptor::CPPTYPE_FLOAT:
      return double{get(&Reflection::GetFloat, &Reflection::GetRepeatedFloat)};
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return get(&Reflection::GetDouble, &Reflection::GetRepeatedDouble);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumWord(*field.enum_type(), get(&Reflection::GetEnumValue, &Reflection::GetRepeatedEnumValue));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = get(&Reflection::GetString, &Reflection::GetRepeatedString);
      return field.type() == FieldDescriptor::TYPE_BYTES ? absl::BytesToHexString(text) : text;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToValue(index < 0 ? r.GetMessage(message, &field)
                               : r.GetRepeatedMessage(message, &field, index));
  }
  return {};
}

}  // namespace

std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number) {
  const google::protobuf::EnumValueDescriptor* value = type.FindValueByNumber(number);
  if (value == nullptr) return absl::StrCat("unknown_", number);
  // STAGE_STATE_ from StageState.
  std::string prefix;
  for (const char c : std::string(type.name())) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  return absl::AsciiStrToLower(absl::StripPrefix(value->name(), prefix + "_"));
}

Value ToValue(const Message& message) {
  if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&message)) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", ToTime(*time), absl::UTCTimeZone());
  }
  if (const auto* duration = dynamic_cast<const google::protobuf::Duration*>(&message)) {
    return absl::FormatDuration(ToDuration(*duration));
  }
  Map map;
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_repeated()) {
      List list;
      for (int j = 0; j < message.GetReflection()->FieldSize(message, &field); ++j) {
        list.push_back(FieldValue(message, field, j));
      }
      map.emplace_back(field.name(), std::move(list));
    } else if (!field.has_presence() || message.GetReflection()->HasField(message, &field)) {
      map.emplace_back(field.name(), FieldValue(message, field, -1));
    }
  }
  return map;
}

}  // namespace ringfence::cli
