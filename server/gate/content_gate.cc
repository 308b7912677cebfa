#include "server/gate/content_gate.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/view.h"

namespace ringfence::gate {
namespace {

using trust::Refusal;
using trust::RefusalType;

RefusalType TypeOf(content::Code code) {
  const absl::string_view word = content::RefusalOf(code);
  for (const RefusalType type :
       {RefusalType::kLimitExceeded, RefusalType::kSchemaMismatch, RefusalType::kBadSignature}) {
    if (word == trust::Name(type)) return type;
  }
  return RefusalType::kMalformed;
}

Refusal RefusalOf(const content::Rejection& rejection) {
  return {TypeOf(rejection.code), "artifact", rejection.field,
          absl::StrCat(rejection.found, " (", content::CodeName(rejection.code), " at byte ",
                       rejection.offset, ")"),
          rejection.wanted};
}

// A file that names another release is not the file of this one.
std::optional<Refusal> Agree(const policy::Release& release, const content::Layout& layout) {
  const content::View view(layout);
  const auto differ = [](const char* field, std::string found, std::string wanted) {
    return Refusal{RefusalType::kEvidenceMismatch, "manifest", field, std::move(found),
                   absl::StrCat(wanted, ", as the content file says")};
  };
  if (release.channel != view.channel())
    return differ("channel", release.channel, std::string(view.channel()));
  if (release.version != view.version())
    return differ("version", release.version, std::string(view.version()));
  if (release.serial != layout.serial())
    return differ("serial", absl::StrCat(release.serial), absl::StrCat(layout.serial()));
  return std::nullopt;
}

}  // namespace

bool LooksLikeFct1(absl::string_view bytes) {
  return absl::StartsWith(bytes, absl::string_view(reinterpret_cast<const char*>(content::kMagic.data()),
                                                   content::kMagic.size()));
}

std::optional<trust::Refusal> JudgeContent(const policy::Release& release, absl::string_view bytes) {
  content::Checks checks;
  checks.build_keys = std::nullopt;
  checks.sensors = std::nullopt;
  const auto validated =
      content::Validate({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, checks);
  if (const auto* rejection = std::get_if<content::Rejection>(&validated)) return RefusalOf(*rejection);
  return Agree(release, std::get<content::Layout>(validated));
}

}  // namespace ringfence::gate
