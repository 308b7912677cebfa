// ringfence release sign: one person's signature over a release. Speaks to no server.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/release_claim.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/key_files.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxArtifactBytes = 64 << 20;

trust::ReleaseClaim::Selector ToClaim(const v1::Selector& selector) {
  trust::ReleaseClaim::Selector out;
  for (const v1::Requirement& one : selector.all_of())
    out.emplace_back(one.key(), std::vector<std::string>(one.any_of().begin(), one.any_of().end()));
  return out;
}

trust::ReleaseClaim ToClaim(const v1::ReleaseManifest& manifest, const std::string& bytes) {
  trust::ReleaseClaim claim;
  claim.channel = manifest.channel();
  claim.kind = manifest.kind() == v1::CHANNEL_KIND_SENSOR ? "sensor" : "content";
  claim.serial = manifest.serial();
  claim.version = manifest.version();
  claim.sha256 = Sha256(bytes);
  claim.size_bytes = static_cast<int64_t>(bytes.size());
  claim.urgent = manifest.urgent();
  claim.targets = ToClaim(manifest.targets());
  for (const v1::Selector& platform : manifest.matrix()) claim.matrix.push_back(ToClaim(platform));
  return claim;
}

absl::StatusOr<std::string> Seal(Context& context, const PublishOptions& options,
                                 const trust::ReleaseClaim& claim) {
  ASSIGN_OR_RETURN(const trust::SigningKey key, ReadSigningKey(context.world(), options.key));
  std::string before;
  if (!options.add.empty()) {
    ASSIGN_OR_RETURN(before, ReadFile(context.world(), options.add, trust::kMaxEnvelopeBytes));
  }
  ASSIGN_OR_RETURN(const std::string envelope, trust::SealReleaseClaim(claim, key, before));
  RETURN_IF_ERROR(WriteDocument(context.world(), options.write, envelope));
  context.err() << "signed " << claim.channel << "/" << claim.serial << " sha256 " << claim.sha256.ToString()
                << " by " << key.public_key().KeyId().ToString() << "\n";
  return envelope;
}

}  // namespace

int ReleaseSign(Context& context, const PublishOptions& options) {
  const LoadedManifest loaded = LoadManifest(context, options);
  if (loaded.exit_code != kOk) return loaded.exit_code;
  const absl::StatusOr<std::string> bytes = ReadFile(context.world(), options.file, kMaxArtifactBytes);
  if (!bytes.ok()) return context.Usage(bytes.status().message());
  const absl::Status sealed = Seal(context, options, ToClaim(loaded.parsed.message, *bytes)).status();
  if (absl::IsFailedPrecondition(sealed)) {
    context.err() << "ringfence: not signed: " << Printable(std::string(sealed.message())) << "\n";
    return kRefused;
  }
  return sealed.ok() ? kOk : context.Usage(sealed.message());
}

}  // namespace ringfence::cli
