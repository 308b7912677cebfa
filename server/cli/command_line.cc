// The one file of the command that includes CLI11.
#include "server/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <random>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ringfence/base/version.h"
#include "server/cli/commands.h"
#include "server/cli/completion.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"

namespace ringfence::cli {
namespace {

constexpr char kDefaultServer[] = "127.0.0.1:7443";
constexpr size_t kMaxTokenBytes = 4096;

struct Globals {
  std::string server, token_file, output = "table", timeout = "10s", request_id;
  bool no_colour = false, yes = false;
};

std::string FreshRequestId() {
  std::random_device device;
  return absl::StrFormat("cli-%08x%08x", device(), device());
}

std::string Env(const World& world, const char* name) {
  const char* value = world.env(name);
  return value == nullptr ? "" : value;
}

// Everything below the command's name, with what to run once it is parsed.
class CommandLine {
 public:
  explicit CommandLine(const World& world) : world_(world) {
    app_.name("ringfence");
    app_.require_subcommand(1);
    app_.fallthrough();  // global options may stand anywhere
    app_.footer([] { return std::string(kExitCodeHelp); });
    app_.set_help_all_flag("--help-all", "Every subcommand's help");
    app_.set_version_flag("--version", VersionOf("ringfence"), "This command's version");
    app_.add_option(
        "--server", globals_.server,
        absl::StrCat("host:port of ringfenced [env RINGFENCE_SERVER, else ", kDefaultServer, "]"));
    app_.add_option("--token-file", globals_.token_file,
                    "File with your token [else env RINGFENCE_TOKEN holds the token]");
    app_.add_option("-o,--output", globals_.output, "table, json or yaml")
        ->check(CLI::IsMember({"table", "json", "yaml"}));
    app_.add_option("--timeout", globals_.timeout, "Longest wait for an answer");
    app_.add_option("--request-id", globals_.request_id,
                    "Names this act: a repeat with the same id is done once");
    app_.add_flag("-y,--yes", globals_.yes, "Ask nothing");
    app_.add_flag("--no-color", globals_.no_colour, "No colours [also env NO_COLOR]");
    AddPlan();
    AddRelease();
    AddRollout();
    AddDecision();
    AddAgent();
    AddServer();
  }

  int Run(const std::vector<std::string>& arguments) {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
      app_.parse(reversed);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error, *world_.out, *world_.err) == 0 ? kOk : kUsage;
    }
    if (!completion_.empty()) return PrintCompletion();
    return Execute();
  }

 private:
  template <typename Options>
  CLI::App* Add(CLI::App* group, const char* name, const char* help, Options* options,
                int (*run)(Context&, const Options&)) {
    CLI::App* command = group->add_subcommand(name, help);
    command->callback(
        [this, options, run] { run_ = [options, run](Context& context) { return run(context, *options); }; });
    return command;
  }
  CLI::App* Group(const char* name, const char* help) {
    CLI::App* group = app_.add_subcommand(name, help);
    group->require_subcommand(1);
    return group;
  }
  // For the audit: every act says why.
  static void AddReason(CLI::App* command, std::string* reason) {
    command->add_option("-m,--reason", *reason, "Why; kept in the audit")->required();
  }

  void AddPlan() {
    CLI::App* plan = Group("plan", "A tenant's update plan, as a YAML file");
    CLI::App* command = Add(plan, "validate", "Every fault and warning of a plan file; needs no server",
                            &plan_file_, PlanValidate);
    command->add_option("FILE", plan_file_.file, "Plan file; - for the standard input")->required();
    command->add_flag("--with-hosts", plan_file_.with_hosts,
                      "Ask the server too, for warnings that only its hosts can show");
    command->add_flag("--strict", plan_file_.strict, "Exit 1 when there are warnings");
    command = Add(plan, "apply", "Make a file the tenant's plan", &plan_file_, PlanApply);
    command->add_option("FILE", plan_file_.file, "Plan file; - for the standard input")->required();
    command->add_option(
        "--expected-revision", plan_file_.expected_revision,
        "Refuse (exit 5) unless this is the newest revision; 0: there is none yet [the newest now]");
    command->add_flag("--strand", plan_file_.strand, "Also when hosts would be in no ring any more");
    AddReason(command, &plan_file_.reason);
    command = Add(plan, "diff", "What a file would change", &plan_file_, PlanDiff);
    command->add_option("FILE", plan_file_.file, "Plan file; - for the standard input")->required();
    command->add_option("TENANT", plan_file_.tenant, "Compare with this tenant's plan [the file's tenant]");
    command->add_flag("--exit-code", plan_file_.exit_code, "Exit 9 when there is a difference");
    command = Add(plan, "show", "The plan in force, as a file", &plan_tenant_, PlanShow);
    command->add_option("TENANT", plan_tenant_.tenant, "[your own]");
    command->add_option("--revision", plan_tenant_.revision, "An earlier one");
    command = Add(plan, "init", "A plan to start from, explained line by line; needs no server",
                  &plan_tenant_, PlanInit);
    command->add_option("TENANT", plan_tenant_.tenant)->required();
    command = Add(plan, "preview", "What a file would do to the hosts of today, without effect", &plan_file_,
                  PlanPreview);
    command->add_option("FILE", plan_file_.file, "Plan file; - for the standard input")->required();
    command = Add(plan, "fleet", "The hosts of a tenant, counted by their labels, as a file for time-machine",
                  &plan_tenant_, PlanFleet);
    command->add_option("TENANT", plan_tenant_.tenant, "[your own]");
    command = Add(plan, "time-machine", "Incidents of the past, replayed against a plan on this machine",
                  &time_machine_, PlanTimeMachine);
    command->add_option("FILE", time_machine_.file, "Plan file; - for the standard input")->required();
    command->add_option("--fleet", time_machine_.fleet,
                        "Hosts from this file [the tenant's, from the server]");
    command->add_option(
        "--incident", time_machine_.incidents,
        "Only this one: an id, or a file of your own; may be repeated [all that are shipped]");
    command->add_option("--affects", time_machine_.affects,
                        "The hosts that it hits, os=win10|win11,site=lab [the incident's own words]");
    command->add_option("--seeds", time_machine_.seeds, "Runs of each")->check(CLI::Range(1, 100));
    command->add_option("--hosts", time_machine_.hosts, "Simulate at most so many")
        ->check(CLI::Range(10, 20000));
    command->add_option("--days", time_machine_.days, "Virtual time of a run at most")
        ->check(CLI::Range(1, 60));
    command = Add(plan, "revert", "Make an earlier revision the plan again, as a new revision", &plan_tenant_,
                  PlanRevert);
    command->add_option("TENANT", plan_tenant_.tenant)->required();
    command->add_option("--to", plan_tenant_.revision, "Which [the one before the newest]");
    command->add_flag("--strand", plan_tenant_.strand, "Also when hosts would be in no ring any more");
    AddReason(command, &plan_tenant_.reason);
    command = Add(plan, "sign", "Sign a plan with keys that the server does not have", &sign_, PlanSign);
    command->add_option("FILE", sign_.file, "Plan file, YAML")->required();
    command->add_option("--key", sign_.keys, "Your key file (ringfence-keys new-key, or PEM); once for each")
        ->allow_extra_args(false)
        ->required();
    command->add_option("--passphrase-file", sign_.passphrase_file, "Its first line opens sealed keys");
    command->add_flag("--first", sign_.first, "Begin the chain: plan 1");
    command->add_option("--previous", sign_.previous, "The signed plan before [the server's newest]");
    command
        ->add_option(
            "--plan-key", sign_.holders,
            "Whose key may sign plans from now on (key file, or public PEM); once for each [as before]")
        ->allow_extra_args(false);
    command->add_option("--threshold", sign_.threshold, "How many of them must [as before; 1 in the first]");
    command
        ->add_option("--recovery-key", sign_.recovery,
                     "Whose key may stand in when those are lost; once for each")
        ->allow_extra_args(false);
    command->add_option("--recovery-threshold", sign_.recovery_threshold, "How many of them must [1]");
    command->add_option("--add", sign_.add, "Signed file of the same plan that gets more signatures");
    command->add_option("--write", sign_.write, "File for the envelope [the standard output]");
    command = Add(plan, "history", "All revisions, and the chain of those that were signed", &plan_tenant_,
                  PlanHistory);
    command->add_option("TENANT", plan_tenant_.tenant, "[your own]");
    command->add_option("--limit", plan_tenant_.limit, "At most this many");
  }

  void AddManifest(CLI::App* command) {
    command
        ->add_option("FILE", publish_.file,
                     "A release repository's folder; or the final bytes, - for the standard input")
        ->required();
    command->add_option("--manifest", publish_.manifest, "YAML with the rest; flags win");
    command->add_option("--channel", publish_.channel, "Channel");
    command
        ->add_option("--kind", publish_.kind,
                     "sensor or content [sensor for the channel of that name, else content]")
        ->check(CLI::IsMember({"sensor", "content"}));
    command->add_option("--serial", publish_.serial, "Above every earlier one of the channel")
        ->check(CLI::PositiveNumber);
    // --version of a release, not of this program.
    command->add_option("--version", publish_.version, "What people call it");
    command->add_option("--target", publish_.targets, "Hosts it is meant for: k=v,k=v|w [every host]")
        ->allow_extra_args(false);
    command->add_option("--matrix", publish_.matrix, "A platform it was tested on: k=v,k=v; once for each")
        ->allow_extra_args(false);
    command->add_flag("--urgent", publish_.urgent, "Soaks shorter where the tenant's plan says so");
  }

  void AddRelease() {
    CLI::App* release = Group("release", "Publish and withdraw releases");
    CLI::App* command =
        Add(release, "publish", "Publish a release out of the repository that the server follows, or a file",
            &publish_, ReleasePublish);
    AddManifest(command);
    command->add_option("--release", publish_.release,
                        "Of a repository: CHANNEL/SERIAL or CHANNEL/VERSION [the one that is new]");
    command->add_flag("--skip-rings", publish_.skip_rings,
                      "Ask that rings be passed over: never done, always in the audit");
    command = Add(release, "qualify", "Sign that these bytes passed their tests; speaks to no server",
                  &qualify_, ReleaseQualify);
    command->add_option("RESULTS", qualify_.results, "What the tests reported, as JUnit's XML")->required();
    command->add_option("--artifact", qualify_.artifact, "The bytes that were tested: those to be published")
        ->required();
    command->add_option("--key", qualify_.key, "The laboratory's private key (PEM, Ed25519)")->required();
    command->add_option("--write", qualify_.write, "File for the envelope [the standard output]");
    command->add_option("--platform", qualify_.platform, "Where the tests ran, if the results do not say");
    command->add_option("--sensor", qualify_.sensor, "With which sensor, if the results do not say");
    command
        ->add_option("--config", qualify_.configuration,
                     "NAME=FILE: a part of the set-up, e.g. the matrix; once for each")
        ->allow_extra_args(false);
    command
        ->add_option("--require", qualify_.required,
                     "A test that has to have passed wherever anything ran; once for each")
        ->allow_extra_args(false);
    command->add_option("--name", qualify_.name, "What people call the artifact [its file name]");
    command->add_option("--url", qualify_.url, "Where people find the run");
    command = Add(release, "list", "Newest first", &release_, ReleaseList);
    command->add_option("--channel", release_.channel, "Only this channel");
    command->add_option("--limit", release_.limit, "At most this many");
    command = Add(release, "show", "One release", &release_, ReleaseShow);
    command->add_option("RELEASE", release_.release, "CHANNEL/SERIAL or CHANNEL/VERSION")->required();
    command =
        Add(release, "recall", "Withdraw it for good and order exposed hosts back", &release_, ReleaseRecall);
    command->add_option("RELEASE", release_.release, "CHANNEL/SERIAL or CHANNEL/VERSION")->required();
    AddReason(command, &release_.reason);
    for (const auto& [name, help, run] :
         {std::tuple("approve", "Let it into the rings of a tenant that ask a person; final",
                     &ReleaseApprove),
          std::tuple("deny", "Keep it out of them; final", &ReleaseDeny)}) {
      command = Add(release, name, help, &release_, run);
      command->add_option("RELEASE", release_.release, "CHANNEL/SERIAL or CHANNEL/VERSION")->required();
      command->add_option("--tenant", release_.tenant, "Whose plan asks [your own]");
      command->add_option("--ring", release_.ring, "Only there [every ring that asks]");
      command
          ->add_option(
              "--key", release_.keys,
              "Sign it with this key file (ringfence-keys new-key, or PEM); once for each. Needed where "
              "the tenant signs its plans")
          ->allow_extra_args(false);
      command->add_option("--passphrase-file", release_.passphrase_file, "Its first line opens sealed keys");
      command->add_option("--for", release_.not_after,
                          "A signed approval ends after this time, e.g. 7d [never]");
      command->add_option(
          "--min-age", release_.min_age,
          "An approval asks for this age instead of the ring's, where the plan says hasten_to");
      AddReason(command, &release_.reason);
    }
    command = Add(release, "approvals", "What waits for a person of a tenant", &release_, ReleaseApprovals);
    command->add_option("TENANT", release_.tenant, "[your own]");
    command->add_flag("--all", release_.all, "And what was decided");
    command = Add(release, "urgent", "Urgent releases, what your plan makes of them, and who has seen them",
                  &release_, ReleaseUrgent);
    command->add_option("TENANT", release_.tenant, "[your own]");
    command->add_flag("--all", release_.all, "And those that were acknowledged");
    command = Add(release, "acknowledge", "Say that an urgent release was seen; it moves nothing", &release_,
                  ReleaseAcknowledge);
    command->add_option("RELEASE", release_.release, "CHANNEL/SERIAL or CHANNEL/VERSION")->required();
    command->add_option("--tenant", release_.tenant, "Whose [your own]");
    AddReason(command, &release_.reason);
    command = Add(release, "explain", "How many hosts of a tenant wait for what", &release_, ReleaseExplain);
    command
        ->add_option("RELEASE", release_.release, "CHANNEL (its newest), CHANNEL/SERIAL or CHANNEL/VERSION")
        ->required();
    command->add_option("--tenant", release_.tenant, "Whose hosts [your own]");
  }

  void AddScope(CLI::App* command, bool needs_release) {
    CLI::Option* name =
        command->add_option("RELEASE", rollout_.release,
                            needs_release ? "CHANNEL/SERIAL or CHANNEL/VERSION"
                                          : "CHANNEL/SERIAL, or CHANNEL for all of it [everything]");
    if (needs_release) name->required();
    command->add_option("--tenant", rollout_.tenant, "Only there");
    command->add_option("--ring", rollout_.ring, "Only there; needs --tenant");
    AddReason(command, &rollout_.reason);
  }

  void AddRollout() {
    CLI::App* rollout = Group("rollout", "Watch releases travel; the brakes");
    CLI::App* command = Add(rollout, "list", "Newest first", &rollout_, RolloutList);
    command->add_option("--channel", rollout_.channel, "Only this channel");
    command->add_option("--limit", rollout_.limit, "At most this many");
    command = Add(rollout, "show", "One rollout now: stages, brakes, gates, ledger, and why it waits",
                  &rollout_, RolloutShow);
    command
        ->add_option("RELEASE", rollout_.release, "CHANNEL (its newest), CHANNEL/SERIAL or CHANNEL/VERSION")
        ->required();
    command->add_option("--tenant", rollout_.tenant, "Only its stages");
    command->add_option("--ring", rollout_.ring, "Only this ring");
    command = Add(rollout, "explain", "As `release explain`: how many hosts of a tenant wait for what",
                  &release_, ReleaseExplain);
    command
        ->add_option("RELEASE", release_.release, "CHANNEL (its newest), CHANNEL/SERIAL or CHANNEL/VERSION")
        ->required();
    command->add_option("--tenant", release_.tenant, "Whose hosts [your own]");
    command = Add(rollout, "watch", "The same, live", &rollout_, RolloutWatch);
    command
        ->add_option("RELEASE", rollout_.release, "CHANNEL (its newest), CHANNEL/SERIAL or CHANNEL/VERSION")
        ->required();
    command->add_option("--tenant", rollout_.tenant, "Only its stages");
    command->add_option("--ring", rollout_.ring, "Only this ring");
    command
        ->add_option("--until", rollout_.until,
                     "End when it is passed, halted, held, paused, stopped (halted or held), reverted (all "
                     "hosts back) or settled "
                     "(passed or stopped)")
        ->check(CLI::IsMember({"passed", "halted", "held", "paused", "stopped", "reverted", "settled"}));
    AddScope(Add(rollout, "pause", "Your side's brake: no new leases until your side resumes", &rollout_,
                 RolloutPause),
             false);
    command = Add(rollout, "resume", "Take your side's pause off, or a hold, or (two persons) a halt",
                  &rollout_, RolloutResume);
    AddScope(command, false);
    command->add_option("--brake", rollout_.brake, "pause, hold or halt [pause]")
        ->check(CLI::IsMember({"pause", "hold", "halt"}));
    command->add_option("--sign-with", rollout_.sign_with,
                        "Your key of the role resume: hosts go on after a halt by two persons' signatures");
    command->add_option("--passphrase-file", rollout_.passphrase_file, "Its first line opens the key");
    command = Add(rollout, "request-bypass",
                  "Ask to skip a ring, shorten a soak or widen a wave: never done, always in the audit",
                  &rollout_, RolloutRequestBypass);
    AddScope(command, false);
    command->add_option("--what", rollout_.bypass, "skip-ring, shorten-soak, widen-wave or ignore-plan")
        ->required()
        ->check(CLI::IsMember({"skip-ring", "shorten-soak", "widen-wave", "ignore-plan"}));
    AddScope(Add(rollout, "halt", "Safety stop: no host activates it any more; two persons resume", &rollout_,
                 RolloutHalt),
             true);
    AddScope(Add(rollout, "rollback", "Halt, and order exposed hosts back", &rollout_, RolloutRollBack),
             true);
    command = Add(rollout, "exclude",
                  "Keep a release from every host of a label value; those that run it are ordered back",
                  &rollout_, RolloutExclude);
    command->add_option("RELEASE", rollout_.release, "CHANNEL/SERIAL or CHANNEL/VERSION")->required();
    command->add_option("--label", rollout_.label, "KEY=VALUE, such as coinstalled=symantec-dlp")->required();
    AddReason(command, &rollout_.reason);
    command = Add(rollout, "unblock", "Let a cohort in again that was excluded, or that the server blocked",
                  &rollout_, RolloutUnblock);
    command->add_option("RELEASE", rollout_.release, "CHANNEL/SERIAL or CHANNEL/VERSION")->required();
    CLI::Option* label = command->add_option("--label", rollout_.label, "KEY=VALUE");
    command->add_option("--tenant", rollout_.tenant, "A customer that the server blocked")->excludes(label);
    AddReason(command, &rollout_.reason);
    command =
        Add(rollout, "evidence", "The evidence against a release over time, beside brake, hold and halt",
            &rollout_, RolloutEvidence);
    command
        ->add_option("RELEASE", rollout_.release, "CHANNEL (its newest), CHANNEL/SERIAL or CHANNEL/VERSION")
        ->required();
    command->add_option("--svg", rollout_.svg, "Draw it into this file, for a post-mortem");
    command = Add(rollout, "decisions", "What was decided, by which rule, on which evidence", &rollout_,
                  RolloutDecisions);
    command->add_option("RELEASE", rollout_.release, "CHANNEL/SERIAL or CHANNEL/VERSION [all]");
    command->add_option("--tenant", rollout_.tenant, "Only there");
    command->add_option("--limit", rollout_.limit, "At most this many");
  }

  void AddDecision() {
    CLI::App* decision =
        Group("decision", "What was decided, on which evidence, and the same computed again");
    CLI::App* command = Add(decision, "list", "Newest first", &rollout_, RolloutDecisions);
    command->add_option("RELEASE", rollout_.release, "CHANNEL/SERIAL or CHANNEL/VERSION [all]");
    command->add_option("--tenant", rollout_.tenant, "Only there");
    command->add_option("--limit", rollout_.limit, "At most this many");
    command = Add(decision, "show", "One, with what both judges thought", &decision_, DecisionShow);
    command->add_option("ID", decision_.id, "Its number in the list")->required();
    command =
        Add(decision, "replay", "Compute it again from its evidence alone; exit 9 if it comes out otherwise",
            &decision_, DecisionReplay);
    command->add_option("ID", decision_.id, "Its number in the list");
    command->add_option("--release", decision_.release,
                        "All decisions about CHANNEL/SERIAL or CHANNEL/VERSION");
  }

  void AddAgent() {
    CLI::App* agent = Group("agent", "Hosts");
    CLI::App* command = Add(agent, "list", "Hosts and what they run", &agent_, AgentList);
    command->add_option("--tenant", agent_.tenant, "Only its hosts");
    command->add_option("--ring", agent_.ring, "Only this ring");
    command->add_flag("--silent", agent_.silent, "Only hosts that are silent now");
    command->add_option("--limit", agent_.limit, "At most this many");
    command = Add(agent, "show", "One host and its history", &agent_, AgentShow);
    command->add_option("ID", agent_.id)->required();
    command = Add(agent, "explain", "Why a host does or does not get a release: every gate, in order",
                  &agent_, AgentExplain);
    command->add_option("ID", agent_.id)->required();
    command->add_option(
        "RELEASE", agent_.release,
        "CHANNEL (its newest), CHANNEL/SERIAL or CHANNEL/VERSION [every channel of the plan]");
    command->add_option("--channel", agent_.channel, "The newest release of this channel");
    command = Add(agent, "delete", "Forget a host's credential; its exposures stay in every figure", &agent_,
                  AgentDelete);
    command->add_option("ID", agent_.id)->required();
    AddReason(command, &agent_.reason);
  }

  void AddServer() {
    CLI::App* token = Group("token", "Enrolment tokens");
    CLI::App* command =
        Add(token, "create", "A token with which one host of a tenant enrols", &token_, TokenCreate);
    command->add_option("TENANT", token_.tenant)->required();
    command->add_option("--valid-for", token_.valid_for, "12h, 7d, ... [1d]");
    command = app_.add_subcommand("status", "The server and what an operator should know about it");
    command->callback([this] { run_ = [](Context& context) { return ServerStatus(context); }; });
    command = app_.add_subcommand("audit", "Who did what, and why");
    command->callback([this] { run_ = [this](Context& context) { return Audit(context, audit_); }; });
    command->add_option("--tenant", audit_.tenant, "Only there");
    command->add_option("--person", audit_.person, "Only what this person did");
    command->add_option("--act", audit_.act, "Only such acts: rollout, rollout.halt, plan, token, ...");
    command->add_option("--limit", audit_.limit, "At most this many");
    command = app_.add_subcommand("completion", "A completion script for bash, zsh or fish");
    command->add_option("SHELL", completion_)->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  }

  int Execute() {
    absl::Duration timeout;
    if (!ParseHumanDuration(globals_.timeout, &timeout) || timeout <= absl::ZeroDuration()) {
      *world_.err << "ringfence: --timeout " << globals_.timeout << ": wanted a duration such as 10s\n";
      return kUsage;
    }
    RemoteOptions remote;
    remote.timeout = timeout;
    remote.server = !globals_.server.empty() ? globals_.server : Env(world_, "RINGFENCE_SERVER");
    if (remote.server.empty()) remote.server = kDefaultServer;
    remote.token = Env(world_, "RINGFENCE_TOKEN");
    if (!globals_.token_file.empty()) {
      const absl::StatusOr<std::string> token = ReadFile(world_, globals_.token_file, kMaxTokenBytes);
      if (!token.ok()) {
        *world_.err << "ringfence: " << token.status().message() << "\n";
        return kUsage;
      }
      remote.token = *token;
    }
    absl::StripAsciiWhitespace(&remote.token);
    const bool colour = world_.out_is_tty && !globals_.no_colour && Env(world_, "NO_COLOR").empty() &&
                        Env(world_, "TERM") != "dumb";
    const Output output = globals_.output == "json"   ? Output::kJson
                          : globals_.output == "yaml" ? Output::kYaml
                                                      : Output::kTable;
    Context context(world_, std::move(remote), output, colour, globals_.yes,
                    globals_.request_id.empty() ? FreshRequestId() : globals_.request_id);
    return run_(context);
  }

  static void Collect(const CLI::App& app, const std::string& path, std::vector<Completable>& tree) {
    Completable node;
    node.path = path;
    for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
      node.words.push_back({child->get_name(), child->get_description(), {}});
    }
    for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; })) {
      if (option->get_positional()) {
        node.files |= option->get_name() == "FILE";
        continue;
      }
      if (option->get_lnames().empty()) continue;
      Completable::Word word{absl::StrCat("--", option->get_lnames().front()), option->get_description(), {}};
      if (word.word == "--output") word.values = {"table", "json", "yaml"};
      if (word.word == "--kind") word.values = {"sensor", "content"};
      if (word.word == "--brake") word.values = {"pause", "hold", "halt"};
      if (word.word == "--until")
        word.values = {"passed", "halted", "held", "paused", "stopped", "reverted", "settled"};
      node.words.push_back(std::move(word));
    }
    if (path == "completion") {
      for (const char* shell : {"bash", "zsh", "fish"}) node.words.push_back({shell, "", {}});
    }
    tree.push_back(std::move(node));
    for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
      Collect(*child, path.empty() ? child->get_name() : absl::StrCat(path, " ", child->get_name()), tree);
    }
  }

  int PrintCompletion() {
    std::vector<Completable> tree;
    Collect(app_, "", tree);
    *world_.out << (completion_ == "bash"  ? BashCompletion(tree)
                    : completion_ == "zsh" ? ZshCompletion(tree)
                                           : FishCompletion(tree));
    return kOk;
  }

  const World& world_;
  CLI::App app_{"Ringfence: watch and steer staged rollouts of sensor and content releases."};
  Globals globals_;
  PlanFileOptions plan_file_;
  PlanTenantOptions plan_tenant_;
  PlanSignOptions sign_;
  TimeMachineOptions time_machine_;
  PublishOptions publish_;
  QualifyOptions qualify_;
  ReleaseOptions release_;
  RolloutOptions rollout_;
  DecisionOptions decision_;
  AgentOptions agent_;
  TokenOptions token_;
  AuditOptions audit_;
  std::string completion_;
  std::function<int(Context&)> run_;
};

}  // namespace

int Run(const World& world, const std::vector<std::string>& arguments) {
  CommandLine line(world);
  return line.Run(arguments);
}

}  // namespace ringfence::cli
