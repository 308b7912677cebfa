#include "contract_changes.h"

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"

namespace ringfence::testing {
namespace {

namespace pb = google::protobuf;

class Comparison {
 public:
  explicit Comparison(const pb::DescriptorPool& current) : current_(current) {}

  void File(const pb::FileDescriptor& old) {
    for (int i = 0; i < old.message_type_count(); ++i) Message(*old.message_type(i));
    for (int i = 0; i < old.enum_type_count(); ++i) Enum(*old.enum_type(i));
    for (int i = 0; i < old.service_count(); ++i) Service(*old.service(i));
  }

  std::vector<std::string> breaks;

 private:
  template <typename... Parts>
  void Break(const Parts&... parts) {
    breaks.push_back(absl::StrCat(parts...));
  }

  void Message(const pb::Descriptor& old) {
    const pb::Descriptor* now = current_.FindMessageTypeByName(old.full_name());
    if (now == nullptr) return Break("message ", old.full_name(), " is gone");
    for (int i = 0; i < old.field_count(); ++i) Field(*old.field(i), *now);
    for (int i = 0; i < old.nested_type_count(); ++i) Message(*old.nested_type(i));
    for (int i = 0; i < old.enum_type_count(); ++i) Enum(*old.enum_type(i));
  }

  void Field(const pb::FieldDescriptor& old, const pb::Descriptor& message) {
    const pb::FieldDescriptor* now = message.FindFieldByNumber(old.number());
    if (now == nullptr) {
      if (!message.IsReservedNumber(old.number()) || !message.IsReservedName(old.name())) {
        Break("field ", old.full_name(), " is gone, but its number ", old.number(),
              " and its name are not both reserved");
      }
      return;
    }
    if (now->name() != old.name()) Break("field ", old.full_name(), " is now called ", now->name());
    if (now->json_name() != old.json_name())
      Break("field ", old.full_name(), " is now ", now->json_name(), " in JSON");
    if (TypeOf(*now) != TypeOf(old))
      Break("field ", old.full_name(), " was ", TypeOf(old), " and is ", TypeOf(*now));
    if (OneofOf(*now) != OneofOf(old)) Break("field ", old.full_name(), " moved into or out of a oneof");
  }

  void Enum(const pb::EnumDescriptor& old) {
    const pb::EnumDescriptor* now = current_.FindEnumTypeByName(old.full_name());
    if (now == nullptr) return Break("enum ", old.full_name(), " is gone");
    for (int i = 0; i < old.value_count(); ++i) {
      const pb::EnumValueDescriptor& value = *old.value(i);
      const pb::EnumValueDescriptor* same = now->FindValueByNumber(value.number());
      if (same == nullptr) {
        if (!now->IsReservedNumber(value.number()) || !now->IsReservedName(value.name())) {
          Break("value ", value.full_name(), " is gone, but its number ", value.number(),
                " and its name are not both reserved");
        }
      } else if (same->name() != value.name()) {
        Break("value ", value.full_name(), " is now called ", same->name());
      }
    }
  }

  void Service(const pb::ServiceDescriptor& old) {
    const pb::ServiceDescriptor* now = current_.FindServiceByName(old.full_name());
    if (now == nullptr) return Break("service ", old.full_name(), " is gone");
    for (int i = 0; i < old.method_count(); ++i) {
      const pb::MethodDescriptor& method = *old.method(i);
      const pb::MethodDescriptor* same = now->FindMethodByName(method.name());
      if (same == nullptr) {
        Break("method ", method.full_name(), " is gone");
      } else if (ShapeOf(*same) != ShapeOf(method)) {
        Break("method ", method.full_name(), " was ", ShapeOf(method), " and is ", ShapeOf(*same));
      }
    }
  }

  // "repeated string", "optional ringfence.v1.Label": everything about the value but its name.
  static std::string TypeOf(const pb::FieldDescriptor& field) {
    std::string type = field.is_repeated() ? "repeated " : field.has_presence() ? "optional " : "";
    if (field.message_type() != nullptr) return absl::StrCat(type, field.message_type()->full_name());
    if (field.enum_type() != nullptr) return absl::StrCat(type, field.enum_type()->full_name());
    return absl::StrCat(type, field.type_name());
  }

  static std::string OneofOf(const pb::FieldDescriptor& field) {
    return field.real_containing_oneof() == nullptr ? "" : field.real_containing_oneof()->name();
  }

  // "(ringfence.v1.A) -> stream ringfence.v1.B".
  static std::string ShapeOf(const pb::MethodDescriptor& method) {
    return absl::StrCat("(", method.client_streaming() ? "stream " : "", method.input_type()->full_name(),
                        ") -> ", method.server_streaming() ? "stream " : "",
                        method.output_type()->full_name());
  }

  const pb::DescriptorPool& current_;
};

// protoc writes imports before the files that need them.
void Load(const pb::FileDescriptorSet& set, pb::DescriptorPool& pool) {
  for (const pb::FileDescriptorProto& file : set.file()) RF_CHECK(pool.BuildFile(file) != nullptr);
}

}  // namespace

std::vector<std::string> BreakingChanges(const pb::FileDescriptorSet& released,
                                         const pb::FileDescriptorSet& current) {
  pb::DescriptorPool old_pool, current_pool;
  Load(released, old_pool);
  Load(current, current_pool);
  Comparison comparison(current_pool);
  for (const pb::FileDescriptorProto& file : released.file())
    comparison.File(*old_pool.FindFileByName(file.name()));
  return comparison.breaks;
}

}  // namespace ringfence::testing
