#include "ringfence/trust/authority.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace ringfence::trust {

Authority Authority::From(const TrustDocument& document) {
  Authority authority;
  authority.director = document.KeysOf("director");
  authority.names_director = document.roles.count("director") > 0;
  authority.director_threshold = std::max(1, document.ThresholdOf("director"));
  authority.halt = document.KeysOf("halt");
  authority.halt_threshold = std::max(1, document.ThresholdOf("halt"));
  authority.resume_threshold = std::max(kLeastResumePersons, document.ThresholdOf("resume"));
  if (const auto role = document.roles.find("resume"); role != document.roles.end()) {
    for (const TrustKey& key : role->second.keys) {
      if (document.revoked.count(key.key.KeyId()) == 0) authority.resume.push_back(key);
    }
  }
  return authority;
}

void Authority::Follow(const TrustDocument& document) {
  const Authority now = From(document);
  const auto revoked = [&](const PublicKey& key) { return document.revoked.count(key.KeyId()) > 0; };
  if (now.names_director) {
    names_director = true;
    director = now.director;
    director_threshold = now.director_threshold;
  } else {
    names_director = VerifiesLeases();  // also when none of its keys is left
    std::erase_if(director, revoked);
  }
  if (document.roles.count("halt") > 0) {
    halt = now.halt;
    halt_threshold = now.halt_threshold;
  } else {
    std::erase_if(halt, revoked);
  }
  if (document.roles.count("resume") > 0) {
    resume = now.resume;
    resume_threshold = now.resume_threshold;
  } else {
    std::erase_if(resume, [&](const TrustKey& key) { return revoked(key.key); });
  }
}

absl::Status Authority::Check() const {
  if (halt.empty()) return absl::OkStatus();
  std::set<std::string> persons;
  for (const TrustKey& key : resume) {
    if (!key.person.empty()) persons.insert(key.person);
  }
  if (static_cast<int>(persons.size()) >= kLeastResumePersons &&
      static_cast<int>(resume.size()) >= resume_threshold) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("role resume: found ", resume.size(), " keys of ", persons.size(),
                   " persons with a name, wanted ", resume_threshold, " keys of at least ",
                   kLeastResumePersons, " persons: hosts would keep a halt for ever"));
}

}  // namespace ringfence::trust
