// ringfence release qualify: evidence for a release out of a test run's results. Speaks to no server.
#include <algorithm>
#include <ostream>
#include <set>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/qualification.h"
#include "ringfence/trust/qualify.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/key_files.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxArtifactBytes = 64 << 20;
constexpr size_t kShownTests = 10;

std::string BaseName(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

// The results, and the files that they and the configuration came from: a statement names what it rests on.
struct Evidence {
  trust::TestResults results;
  std::vector<trust::Resource> configuration;
};

absl::StatusOr<Evidence> ReadEvidence(const World& world, const QualifyOptions& options) {
  Evidence evidence;
  for (const std::string& named : options.configuration) {
    const size_t equals = named.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == named.size()) {
      return absl::InvalidArgumentError(absl::StrCat("--config ", named, ": wanted NAME=FILE"));
    }
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(world, named.substr(equals + 1), kMaxArtifactBytes));
    evidence.configuration.push_back(trust::FileResource(named.substr(0, equals), bytes));
  }
  for (const std::string& path : options.results) {
    ASSIGN_OR_RETURN(const std::string xml, ReadFile(world, path, trust::kMaxResultBytes));
    const absl::Status added = trust::AddJUnit(xml, {options.platform, options.sensor}, &evidence.results);
    if (!added.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", added.message()));
    evidence.configuration.push_back(trust::FileResource(absl::StrCat("results/", BaseName(path)), xml));
  }
  return evidence;
}

void ListTests(std::ostream& out, absl::string_view what, const std::set<trust::TestName>& tests) {
  size_t shown = 0;
  for (const trust::TestName& test : tests) {
    if (shown++ == kShownTests) break;
    out << "  " << what << " " << Printable(ToString(test)) << "\n";
  }
  if (tests.size() > kShownTests) out << "  " << what << " and " << tests.size() - kShownTests << " more\n";
}

// Every platform and sensor that something ran on must have passed all that is asked for.
absl::Status CheckRequired(const trust::TestStatement& statement, const trust::TestResults& results,
                           const std::vector<std::string>& required) {
  if (required.empty()) return absl::OkStatus();
  const std::vector<trust::Covered> covered = trust::CoverageOf(statement, required);
  for (const std::set<trust::TestName>* tests : {&results.passed, &results.skipped}) {
    for (const trust::TestName& test : *tests) {
      const trust::Covered where{test.platform, test.sensor};
      if (std::find(covered.begin(), covered.end(), where) != covered.end()) continue;
      for (const std::string& name : required) {
        const trust::TestName wanted{test.platform, test.sensor, name};
        if (results.passed.count(wanted) > 0) continue;
        return absl::FailedPreconditionError(
            absl::StrCat("found no passed test ", ToString(wanted), ", wanted it by --require ", name));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

int ReleaseQualify(Context& context, const QualifyOptions& options) {
  const absl::StatusOr<std::string> artifact = ReadFile(context.world(), options.artifact, kMaxArtifactBytes);
  if (!artifact.ok()) return context.Usage(artifact.status().message());
  const absl::StatusOr<trust::SigningKey> key = ReadSigningKey(context.world(), options.key);
  if (!key.ok()) return context.Usage(key.status().message());
  const absl::StatusOr<Evidence> evidence = ReadEvidence(context.world(), options);
  if (!evidence.ok()) return context.Usage(evidence.status().message());

  const Digest digest = Sha256(*artifact);
  const trust::TestStatement statement =
      trust::MakeTestStatement(options.name.empty() ? BaseName(options.artifact) : options.name, digest,
                               evidence->results, evidence->configuration, options.url);
  absl::Status refused = CheckRequired(statement, evidence->results, options.required);
  const absl::StatusOr<std::string> envelope = trust::SealStatement(statement, *key);
  if (!envelope.ok()) refused = envelope.status();
  if (!refused.ok()) {
    context.err() << "ringfence: not qualified: " << Printable(std::string(refused.message())) << "\n";
    ListTests(context.err(), "failed ", evidence->results.failed);
    ListTests(context.err(), "skipped", evidence->results.skipped);
    context.err() << "  next: mend the release, publish other bytes, and test those; nothing was signed\n";
    return kRefused;
  }
  if (!evidence->results.skipped.empty()) {
    context.err() << "warning: what was skipped has not passed, and is not in the statement\n";
    ListTests(context.err(), "skipped", evidence->results.skipped);
  }
  const absl::Status written = WriteDocument(context.world(), options.write, *envelope);
  if (!written.ok()) return context.Usage(written.message());
  context.err() << "qualified " << digest.ToString() << ": " << statement.passed.size()
                << " tests passed, signed by " << key->public_key().KeyId().ToString() << "\n";
  return kOk;
}

}  // namespace ringfence::cli
