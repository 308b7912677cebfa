// A vendor's release repository with throwaway keys: root, targets, content-release and qualification, with
// trust.json in it. Releases are right by default, and wrong in one place where a test says so.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ringfence/content/model.h"
#include "ringfence/trust/junit.h"
#include "ringfence/trust/release_terms.h"
#include "ringfence/trust/trust_document.h"
#include "tests/trust/tuf_repository.h"

namespace ringfence::trust {

inline constexpr char kContentRole[] = "content-release";
inline constexpr char kQualificationRole[] = "qualification";
inline constexpr char kTestPlatform[] = "linux/x86_64/debian-12";

// What a test may spoil before it is published.
struct ReleaseDraft {
  content::Content content;
  std::string bytes;  // empty: `content`, signed by content_build
  ReleaseTerms terms;
  TestResults results;    // of the laboratory; by default all that is asked for, passed
  Digest tested;          // zero: the digest of the bytes
  bool qualified = true;  // false: nothing is said about tests
};

struct Published {
  std::string path, bytes, envelope;
  Digest digest;
  ReleaseTerms terms;
};

class ReleaseRepository {
 public:
  ReleaseRepository();

  // Lists the release in content-release and publishes; `change` may spoil the draft.
  Published Publish(uint64_t serial, const std::function<void(ReleaseDraft&)>& change = nullptr,
                    const std::string& channel = "ipc-detect");
  // The listing of a release with other terms: a recall, say.
  void Relist(const Published& release, const ReleaseTerms& terms);
  // Publishes trust.json as it is now.
  void PublishTrust();
  // New versions of all roles that a release asks for.
  void PublishAll();

  std::string root() const { return tuf.metadata.at("1.root.json"); }
  // The host that releases are for by default: sensor 7.11.0 with two inputs.
  static std::vector<content::SensorSchema> Schemas();

  tuf::TestRepository tuf;
  TrustDocument trust;

 private:
  const SigningKey lab_ = *SigningKey::FromSeed(std::string(32, 'q'));
};

}  // namespace ringfence::trust
