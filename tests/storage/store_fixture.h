// One suite, both stores.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/storage/store.h"
#include "tests/support/postgres_fixture.h"

namespace ringfence::storage {

enum class Kind { kMemory, kPostgres };

inline std::string KindName(const ::testing::TestParamInfo<Kind>& info) {
  return info.param == Kind::kMemory ? "Memory" : "Postgres";
}

// A fresh store for each test.
class StoreTest : public ::testing::TestWithParam<Kind> {
 protected:
  StoreTest() : store_(GetParam() == Kind::kMemory ? MakeMemoryStore() : testing::NewPostgresStore()) {}

  // Runs `body` in a transaction that must commit; returns what it returned.
  template <typename F>
  auto Commit(F body) {
    using Result = decltype(body(std::declval<Transaction&>()));
    if constexpr (std::is_same_v<Result, absl::Status>) {
      const absl::Status status = store_->ReadWrite(body);
      EXPECT_TRUE(status.ok()) << status;
    } else {
      Result result = absl::InternalError("did not run");
      const absl::Status status = store_->ReadWrite([&](Transaction& tx) {
        result = body(tx);
        return result.status();
      });
      EXPECT_TRUE(status.ok()) << status;
      return *std::move(result);
    }
  }
  // Runs `body`, whose status must be the transaction's; returns its code.
  template <typename F>
  absl::StatusCode Refusal(F body) {
    return store_->ReadWrite(body).code();
  }

  std::unique_ptr<Store> store_;
};

#define RF_BOTH_STORES(Suite) \
  INSTANTIATE_TEST_SUITE_P(Both, Suite, ::testing::Values(Kind::kMemory, Kind::kPostgres), KindName)

// 2024-07-19 04:09 UTC, the minute it went wrong.
inline const absl::Time kNow = absl::FromUnixSeconds(1'721'362'140);

inline AgentId MakeAgentId(uint64_t number) {
  AgentId id;
  for (int i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  id.bytes[0] = static_cast<uint8_t>(number * 37);
  return id;
}

inline Digest MakeDigest(uint8_t number) {
  Digest digest;
  digest.bytes.fill(number);
  return digest;
}

}  // namespace ringfence::storage
