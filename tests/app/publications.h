// Publications out of a throwaway repository, and what a store has of them.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/app.h"
#include "server/storage/store.h"
#include "tests/gate/throwaway.h"

namespace ringfence::test {

// Sound content for the platforms, with its evidence, under this serial; its bytes.
inline std::string List(gate::ThrowawayRepository& repository, uint64_t serial,
                        const std::vector<std::string>& platforms, const std::string& name,
                        size_t size = 3000) {
  policy::Release release;
  release.channel = "content";
  release.serial = serial;
  release.version = absl::StrCat("v", serial);
  const content::SensorVersion sensor = repository.trust().sensors[0].schema.sensor;
  const std::string bytes =
      gate::Throwaway::FileOf(gate::Throwaway::ContentOf(release, sensor, sensor, 20, size));
  repository.List(
      gate::ThrowawayRepository::Terms(release, platforms, sensor, sensor, 20), name, bytes,
      {gate::Throwaway::Evidence(
          Sha256(bytes), gate::Throwaway::PairsOf(platforms, repository.trust().sensors, sensor, sensor))});
  return bytes;
}

inline app::PublishRequest RequestOf(gate::RepositoryFiles files) {
  app::PublishRequest request;
  request.repository = std::move(files);
  return request;
}

// What is there of a publication: "nothing", "all" of it, or (never) "a part".
inline std::string StoredOf(storage::Store& store, const app::PublishRequest& request, uint64_t serial) {
  const gate::RepositoryFiles& files = *request.repository;
  size_t wanted = 0, found = 0;
  bool piece = false;
  EXPECT_TRUE(store
                  .ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                    wanted = found = 0;
                    piece = false;
                    const auto count = [&](bool there) {
                      ++wanted;
                      found += there ? 1 : 0;
                    };
                    size_t artifacts = 0;
                    for (const auto& [path, bytes] : files.targets) {
                      if (absl::StartsWith(path, "content/")) {
                        ++artifacts;
                        std::string stored;
                        for (int64_t chunk = 0; stored.size() < bytes.size(); ++chunk) {
                          const auto next = tx.ArtifactChunk(Sha256(bytes), chunk);
                          if (!next.ok()) break;
                          stored += *next;
                        }
                        count(stored == bytes);
                        piece |= stored != bytes && !stored.empty();
                      }
                      if (absl::StartsWith(path, "qual/")) count(tx.TrustDocument(path, std::nullopt).ok());
                    }
                    for (const auto& [name, bytes] : files.metadata) {
                      // Roots and what did not change are there from before.
                      if (name == "timestamp.json" || absl::StrContains(name, "snapshot"))
                        count(tx.TrustDocument(name, Sha256(bytes)).ok());
                    }
                    ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> rows, tx.Releases());
                    bool row = false;
                    for (const storage::ReleaseRow& known : rows)
                      row |= known.release.serial == serial && known.release.artifacts.size() == artifacts;
                    count(row);
                    ASSIGN_OR_RETURN(const auto decisions, tx.Decisions({}));
                    bool decided = false;
                    for (const storage::DecisionRow& one : decisions)
                      decided |= one.action == "publish" && one.serial == serial;
                    count(decided);
                    return absl::OkStatus();
                  })
                  .ok());
  if (piece) return "a part";
  return found == wanted ? "all" : found == 0 ? "nothing" : "a part";
}

}  // namespace ringfence::test
