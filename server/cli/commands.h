// Every subcommand: its options as plain values, and what it does. Each returns the exit code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/v1/release.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/cli/context.h"

namespace ringfence::cli {

// ---- plan
struct LoadedPlan {
  Parsed<v1::Plan> parsed;
  std::string envelope;  // the file, where it is a signed plan and not YAML
  int exit_code = 0;     // anything else: the faults were shown
};
// Without a server: form and, where there are faults of form, all that can be told besides.
LoadedPlan LoadPlan(Context& context, const std::string& file);
// "os=win10|win11,platform=windows" adds to the selector.
absl::Status AddPairs(const std::string& text, v1::Selector* selector);

struct PlanFileOptions {
  std::string file;
  std::string tenant;              // diff: against this tenant's plan instead of the file's
  std::string reason;              // apply
  int64_t expected_revision = -1;  // apply; -1: the newest now
  bool strand = false;             // apply: also when hosts would be in no ring any more
  bool exit_code = false;          // diff: kDifferent when there is a difference
  bool with_hosts = false;         // validate: asks the server too, for what only its hosts can show
  bool strict = false;             // validate: warnings are kRefused
};
struct PlanTenantOptions {
  std::string tenant;
  int64_t revision = 0;
  int limit = 20;
  std::string reason;   // revert
  bool strand = false;  // revert: as for apply
};
int PlanValidate(Context& context, const PlanFileOptions& options);
int PlanApply(Context& context, const PlanFileOptions& options);
int PlanDiff(Context& context, const PlanFileOptions& options);
int PlanShow(Context& context, const PlanTenantOptions& options);
int PlanHistory(Context& context, const PlanTenantOptions& options);
int PlanInit(Context& context, const PlanTenantOptions& options);
int PlanPreview(Context& context, const PlanFileOptions& options);
int PlanRevert(Context& context, const PlanTenantOptions& options);
int PlanFleet(Context& context, const PlanTenantOptions& options);

struct PlanSignOptions {
  std::string file;                            // YAML
  std::vector<std::string> keys;               // that sign
  std::string passphrase_file;                 // of sealed ones
  std::string previous;                        // the signed plan before; "": the server's
  bool first = false;                          // there is none before
  std::vector<std::string> holders, recovery;  // whose keys the plan names; none: as the plan before
  int threshold = 0, recovery_threshold = 0;   // 0: one, or as the plan before
  std::string add;                             // an envelope of the same plan that gets more signatures
  std::string write;                           // where the envelope goes; "": the standard output
};
int PlanSign(Context& context, const PlanSignOptions& options);

struct TimeMachineOptions {
  std::string file;
  std::string fleet;                   // a file instead of the server's hosts
  std::vector<std::string> incidents;  // ids or files; empty: all that are shipped
  std::string affects;                 // k=v instead of the incident's own words
  int seeds = 3;
  int64_t hosts = 2000;  // simulated at most
  int days = 7;
};
int PlanTimeMachine(Context& context, const TimeMachineOptions& options);

// ---- release
struct PublishOptions {
  std::string file;      // the final bytes, or the folder of a release repository
  std::string manifest;  // YAML; flags win
  std::string channel, kind, version;
  uint64_t serial = 0;
  std::vector<std::string> targets;  // k=v
  std::vector<std::string> matrix;   // one platform each: k=v,k=v
  bool urgent = false;
  bool skip_rings = false;
  std::string release;  // of a repository: CHANNEL/SERIAL or CHANNEL/VERSION; "": the one that is new
};
struct ReleaseOptions {
  std::string release;  // CHANNEL/SERIAL or CHANNEL/VERSION
  std::string channel;  // list
  std::string reason;   // recall
  int limit = 50;
  std::string tenant, ring;       // approve, deny, approvals, explain
  bool all = false;               // approvals: decided ones too
  std::vector<std::string> keys;  // approve, deny: sign it with these
  std::string passphrase_file;    // of sealed ones
  std::string not_after;          // approve: it ends then, if nobody took it; a duration from now
  std::string min_age;            // approve: instead of the ring's, where the plan lets that; a duration
};
struct QualifyOptions {
  std::vector<std::string> results;        // JUnit files
  std::string artifact;                    // the bytes that were tested
  std::string key;                         // the laboratory's private key, PEM
  std::string write;                       // where the envelope goes; "": the standard output
  std::string name, url;                   // for people
  std::string platform, sensor;            // where the tests ran, if the files do not say
  std::vector<std::string> configuration;  // NAME=FILE
  std::vector<std::string> required;       // tests
};
int ReleaseQualify(Context& context, const QualifyOptions& options);
int ReleasePublish(Context& context, const PublishOptions& options);
int ReleaseList(Context& context, const ReleaseOptions& options);
int ReleaseShow(Context& context, const ReleaseOptions& options);
int ReleaseRecall(Context& context, const ReleaseOptions& options);
int ReleaseApprove(Context& context, const ReleaseOptions& options);
int ReleaseDeny(Context& context, const ReleaseOptions& options);
int ReleaseApprovals(Context& context, const ReleaseOptions& options);
int ReleaseExplain(Context& context, const ReleaseOptions& options);
int ReleaseUrgent(Context& context, const ReleaseOptions& options);
int ReleaseAcknowledge(Context& context, const ReleaseOptions& options);

// ---- rollout
struct RolloutOptions {
  std::string release;       // CHANNEL, CHANNEL/SERIAL or CHANNEL/VERSION
  std::string channel;       // list, decisions
  std::string tenant, ring;  // scope
  std::string reason;
  std::string brake;                       // resume: pause, hold or halt
  std::string until;                       // watch
  std::string svg;                         // evidence: the file to draw into
  std::string sign_with, passphrase_file;  // resume from a halt: a person's key
  std::string bypass;                      // what is asked for in vain
  std::string label;                       // exclude, unblock: key=value
  int limit = 20;
};
int RolloutList(Context& context, const RolloutOptions& options);
int RolloutShow(Context& context, const RolloutOptions& options);
int RolloutWatch(Context& context, const RolloutOptions& options);
int RolloutPause(Context& context, const RolloutOptions& options);
int RolloutResume(Context& context, const RolloutOptions& options);
int RolloutHalt(Context& context, const RolloutOptions& options);
int RolloutRollBack(Context& context, const RolloutOptions& options);
int RolloutRequestBypass(Context& context, const RolloutOptions& options);
int RolloutExclude(Context& context, const RolloutOptions& options);
int RolloutUnblock(Context& context, const RolloutOptions& options);
int RolloutDecisions(Context& context, const RolloutOptions& options);
int RolloutEvidence(Context& context, const RolloutOptions& options);

// ---- decision
struct DecisionOptions {
  std::string id;       // as in the list
  std::string release;  // replay: all of its decisions
};
int DecisionShow(Context& context, const DecisionOptions& options);
// kDifferent: one comes out otherwise when it is computed again.
int DecisionReplay(Context& context, const DecisionOptions& options);

// ---- agent
struct AgentOptions {
  std::string id;
  std::string tenant, ring;  // list
  bool silent = false;       // list
  std::string release;       // explain: CHANNEL or CHANNEL/SERIAL; empty: every channel of the plan
  std::string channel;       // explain: the same as a CHANNEL
  std::string reason;        // delete
  int limit = 100;
};
int AgentList(Context& context, const AgentOptions& options);
int AgentShow(Context& context, const AgentOptions& options);
int AgentExplain(Context& context, const AgentOptions& options);
int AgentDelete(Context& context, const AgentOptions& options);

// ---- the server
struct TokenOptions {
  std::string tenant;
  std::string valid_for;  // "1d"
};
struct AuditOptions {
  std::string tenant, person, act;  // act: a prefix
  int limit = 50;
};
int TokenCreate(Context& context, const TokenOptions& options);
int ServerStatus(Context& context);
int Audit(Context& context, const AuditOptions& options);

}  // namespace ringfence::cli
