// Makes the evidence that VerifyQualification judges.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/base/ids.h"
#include "ringfence/trust/ed25519.h"
#include "ringfence/trust/junit.h"
#include "ringfence/trust/statement.h"

namespace ringfence::trust {

// The statement that these bytes, and no others, gave these results. Skipped tests are in no list: what did
// not run has not passed. PASSED exactly if something passed and nothing failed.
TestStatement MakeTestStatement(const std::string& name, const Digest& artifact, const TestResults& results,
                                std::vector<Resource> configuration, const std::string& url);

// The envelope of that statement, signed, as the bytes of its file. FailedPrecondition if the statement is
// not PASSED: a laboratory does not sign what could only be refused. InvalidArgument if it would be larger
// than a verifier reads.
absl::StatusOr<std::string> SealStatement(const TestStatement& statement, const SigningKey& key);

// A part of the configuration: the sha256 of a file's bytes under a name.
Resource FileResource(const std::string& name, absl::string_view bytes);

}  // namespace ringfence::trust
