// A publication out of a throwaway repository, and a server's memory of earlier ones.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "tests/gate/throwaway.h"

namespace ringfence::gate {

class MemoryFiles final : public StoredRepository {
 public:
  absl::StatusOr<std::string> Read(const std::string& name, const std::optional<Digest>& sha256) override {
    if (down) return absl::UnavailableError("the store is away");
    for (auto file = files.rbegin(); file != files.rend(); ++file) {
      if (file->name == name && (!sha256.has_value() || Sha256(file->bytes) == *sha256)) return file->bytes;
    }
    return absl::NotFoundError(name);
  }
  void Store(const VerifiedRepository& verified) {
    files.insert(files.end(), verified.files.begin(), verified.files.end());
  }

  std::vector<VerifiedFile> files;  // oldest first
  bool down = false;
};

class RepositoryTest : public testing::Test {
 protected:
  static constexpr char kDebian[] = "linux/x86_64/debian-12";
  static constexpr char kWindows[] = "windows/x86_64/10.0.22631+";

  RepositoryTest() {
    release.channel = "ipc";
    release.serial = 291;
    release.version = "v291";
  }

  std::string Content(size_t fields = 20) const {
    return Throwaway::FileOf(Throwaway::ContentOf(release, from, to, fields, 3000));
  }
  // What the laboratory tested these bytes on.
  std::string Tested(const std::string& bytes, const std::vector<std::string>& platforms) const {
    return Throwaway::Evidence(Sha256(bytes),
                               Throwaway::PairsOf(platforms, repository.trust().sensors, from, to));
  }
  trust::ReleaseTerms Terms(std::vector<std::string> platforms, size_t fields = 20) const {
    return ThrowawayRepository::Terms(release, std::move(platforms), from, to, fields);
  }
  // Lists sound content for one platform, tested there.
  std::string ListSound(const std::string& name, const std::string& platform = kDebian) {
    const std::string bytes = Content();
    return repository.List(Terms({platform}), name, bytes, {Tested(bytes, {platform})});
  }

  absl::StatusOr<VerifiedRepository> Verify(const RepositoryFiles& files) {
    return VerifyRepository(repository.trust(), files, std::nullopt, stored, now);
  }
  // "word part field", or "passed".
  std::string Answer(const RepositoryFiles& files) {
    const auto verified = Verify(files);
    if (verified.ok()) return "passed";
    text = std::string(verified.status().message());
    const auto refusal = trust::RefusalFrom(verified.status());
    if (!refusal.has_value()) return verified.status().ToString();
    return absl::StrCat(trust::Name(refusal->type), " ", refusal->part, " ", refusal->field);
  }

  const content::SensorVersion from = *content::SensorVersion::Parse("7.11.0");
  const content::SensorVersion to = *content::SensorVersion::Parse("7.19.999");
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  ThrowawayRepository repository{{Throwaway::Sensor("7.11+", "7.11.0", 20)}};
  policy::Release release;
  MemoryFiles stored;
  std::string text;  // of the last refusal
};

}  // namespace ringfence::gate
