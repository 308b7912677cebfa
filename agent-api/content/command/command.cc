#include "command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "files.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/version.h"
#include "ringfence/content/model.h"
#include "ringfence/content/source.h"
#include "show.h"

namespace ringfence::content {
namespace {

constexpr char kExitCodeHelp[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  refused: the file is not content, or not what the keys and schemas given want\n"
    "  2  wrong usage, or a source, schema or key file with faults\n"
    "  3  a file cannot be read or written\n";

struct Options {
  std::string file, output;
  std::string format = "table";
  std::vector<std::string> schemas, keys;
};

// What a person does about it.
absl::string_view NextStep(Code code) {
  switch (code) {
    case Code::kTooShort:
    case Code::kBadMagic:
    case Code::kLength:
    case Code::kCrc:
    case Code::kDigest:
      return "this is not the file that was built, or it was damaged on the way: build or copy it again, and "
             "compare "
             "sha256sum on both sides";
    case Code::kSignature:
      return "build it with --key and the key of one of the public keys given here; if that was done, "
             "somebody "
             "changed it afterwards";
    case Code::kSchemaMismatch:
      return "give the content exactly the inputs that every sensor in its range registered, or narrow "
             "`sensors`";
    case Code::kTooLarge:
    case Code::kLimit:
      return "split the content over channels, or write fewer and shorter rules";
    case Code::kUnsupported:
      return "it was built by a newer ringfence-content: use that one, or build it again with this one";
    case Code::kBadLayout:
    case Code::kDupSection:
    case Code::kMissingSection:
    case Code::kFieldIndex:
    case Code::kBadString:
    case Code::kBadRule:
    case Code::kBadValue:
      return "no version of ringfence-content wrote this: build it from its source, and find out who changed "
             "it";
  }
  return "";
}

class Command {
 public:
  Command(const Options& options, std::ostream& out, std::ostream& err)
      : options_(options), out_(out), err_(err) {}

  int Build();
  int Verify();
  int Show();

 private:
  int Fail(int exit, absl::string_view text, absl::string_view next) {
    err_ << "ringfence-content: " << text << "\n  next: " << next << "\n";
    return exit;
  }
  int Refuse(const Rejection& rejection) {
    return Fail(kExitRefused, absl::StrCat(options_.file, ": ", ToString(rejection)),
                NextStep(rejection.code));
  }
  int Unreadable(const absl::Status& status) {
    return Fail(kExitUnreadable, status.message(), "check the path, and who may read and write there");
  }

  // Each gives the exit code if something is wrong, after having said it.
  std::optional<int> ReadSchemas();
  std::optional<int> ReadKeys();
  std::optional<int> ReadFile(std::string* bytes);
  void WarnOfUnreadFields(const Content& content);
  Checks Wanted() const;

  const Options& options_;
  std::ostream& out_;
  std::ostream& err_;
  std::vector<SensorSchema> sensors_;
  std::vector<trust::PublicKey> keys_;
};

std::optional<int> Command::ReadSchemas() {
  for (const std::string& path : options_.schemas) {
    const absl::StatusOr<std::string> text = ReadWhole(path, kMaxSourceBytes);
    if (!text.ok()) return Unreadable(text.status());
    const Parsed<std::vector<SensorSchema>> parsed = ParseSchema(*text);
    if (!parsed.faults.empty()) {
      err_ << Render(path, parsed.faults);
      return kExitUsage;
    }
    sensors_.insert(sensors_.end(), parsed.value.begin(), parsed.value.end());
  }
  return std::nullopt;
}

std::optional<int> Command::ReadKeys() {
  for (const std::string& path : options_.keys) {
    const absl::StatusOr<std::string> pem = ReadWhole(path, 4096);
    if (!pem.ok()) return Unreadable(pem.status());
    const absl::StatusOr<trust::PublicKey> key = trust::PublicKey::FromPem(*pem);
    if (!key.ok()) {
      return Fail(kExitUsage, absl::StrCat(path, ": ", key.status().message()),
                  "make it from the private key: openssl pkey -in KEY.pem -pubout -out KEY.pub.pem");
    }
    keys_.push_back(*key);
  }
  return std::nullopt;
}

std::optional<int> Command::ReadFile(std::string* bytes) {
  // One byte more than allowed is enough to be refused for it.
  absl::StatusOr<std::string> read = ReadWhole(options_.file, kMaxFileBytes);
  if (absl::IsResourceExhausted(read.status())) {
    return Refuse({Code::kTooLarge, "file", 0, "more", absl::StrCat("at most ", kMaxFileBytes, " bytes")});
  }
  if (!read.ok()) return Unreadable(read.status());
  *bytes = *std::move(read);
  return std::nullopt;
}

Checks Command::Wanted() const {
  Checks checks;
  checks.build_keys = std::nullopt;
  checks.sensors = std::nullopt;
  if (!options_.keys.empty()) checks.build_keys = keys_;
  if (!options_.schemas.empty()) checks.sensors = sensors_;
  return checks;
}

void Command::WarnOfUnreadFields(const Content& content) {
  const std::vector<uint32_t> reads = ReadsPerField(content);
  for (size_t i = 0; i < reads.size(); ++i) {
    if (reads[i] > 0) continue;
    err_ << "warning: no rule looks at the value of input " << i << " (" << content.fields[i].name
         << "): a test of this content says nothing about it\n";
  }
}

int Command::Build() {
  if (const std::optional<int> exit = ReadSchemas()) return *exit;
  const absl::StatusOr<std::string> text = ReadWhole(options_.file, kMaxSourceBytes);
  if (!text.ok()) return Unreadable(text.status());
  const Parsed<Content> parsed = ParseSource(*text);
  if (!parsed.faults.empty()) {
    err_ << Render(options_.file, parsed.faults);
    return kExitUsage;
  }
  std::optional<trust::SigningKey> key;
  if (!options_.keys.empty()) {
    const absl::StatusOr<std::string> pem = ReadWhole(options_.keys[0], 4096);
    if (!pem.ok()) return Unreadable(pem.status());
    absl::StatusOr<trust::SigningKey> read = trust::SigningKey::FromPem(*pem);
    if (!read.ok()) {
      return Fail(kExitUsage, absl::StrCat(options_.keys[0], ": ", read.status().message()),
                  "make one: openssl genpkey -algorithm ed25519 -out KEY.pem");
    }
    key = *std::move(read);
  }
  std::optional<std::span<const SensorSchema>> sensors;
  if (!options_.schemas.empty()) sensors = sensors_;
  const absl::StatusOr<std::string> file =
      content::Build(parsed.value, key.has_value() ? &*key : nullptr, sensors);
  if (!file.ok()) {
    return Fail(kExitRefused, absl::StrCat(options_.file, ": ", file.status().message()),
                "change the source; docs/content-format.md lists the limits");
  }
  if (const absl::Status written = WriteWhole(options_.output, *file); !written.ok())
    return Unreadable(written);
  WarnOfUnreadFields(parsed.value);
  if (!key.has_value())
    err_ << "warning: not signed, so whoever checks signatures refuses it: --key KEY.pem signs\n";
  if (options_.schemas.empty()) {
    err_ << "warning: not compared with what sensors supply: --schema FILE, once for each schema\n";
  }
  out_ << "built " << options_.output << ": " << parsed.value.channel << "/" << parsed.value.serial << " "
       << parsed.value.version << ", " << file->size() << " bytes, sha256 " << Sha256(*file).ToString()
       << "\n";
  return kExitOk;
}

int Command::Verify() {
  if (const std::optional<int> exit = ReadSchemas()) return *exit;
  if (const std::optional<int> exit = ReadKeys()) return *exit;
  std::string bytes;
  if (const std::optional<int> exit = ReadFile(&bytes)) return *exit;
  const auto result = Validate({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, Wanted());
  if (const Rejection* rejection = std::get_if<Rejection>(&result)) return Refuse(*rejection);
  const Layout& layout = std::get<Layout>(result);
  WarnOfUnreadFields(Describe(layout));
  out_ << options_.file << ": sound\n"
       << "  signature  "
       << (options_.keys.empty() ? "not checked: give the trusted public keys with --key"
                                 : absl::StrCat("by ", layout.signed_by()->KeyId().ToString()))
       << "\n  inputs     "
       << (options_.schemas.empty()
               ? "not compared: give the sensors' schemas with --schema"
               : absl::StrCat(layout.field_count(), ", what every sensor given supplies"))
       << "\n  sha256     " << Sha256(bytes).ToString() << "\n";
  return kExitOk;
}

int Command::Show() {
  if (const std::optional<int> exit = ReadKeys()) return *exit;
  std::string bytes;
  if (const std::optional<int> exit = ReadFile(&bytes)) return *exit;
  const auto result = Validate({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, Wanted());
  if (const Rejection* rejection = std::get_if<Rejection>(&result)) return Refuse(*rejection);
  const Layout& layout = std::get<Layout>(result);
  Shown shown{Describe(layout), bytes.size(), Sha256(bytes).ToString(), "", layout.signed_by().has_value()};
  const std::array<uint8_t, 8>& id = layout.claimed_key_id();
  if (std::any_of(id.begin(), id.end(), [](uint8_t byte) { return byte != 0; })) {
    shown.key_id = absl::BytesToHexString({reinterpret_cast<const char*>(id.data()), id.size()});
  }
  out_ << (options_.format == "json" ? ToJson(shown) : ToTable(shown));
  return kExitOk;
}

}  // namespace

int RunCommand(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  Options options;
  CLI::App app{"Builds, verifies and shows files of content (format FCT1).\n", "ringfence-content"};
  app.require_subcommand(1);
  app.footer(kExitCodeHelp);
  app.set_version_flag("--version", VersionOf("ringfence-content"));
  const auto schemas = [&](CLI::App* command, const char* text) {
    command->add_option("--schema", options.schemas, text)->type_name("FILE")->allow_extra_args(false);
  };
  CLI::App* build =
      app.add_subcommand("build", "Makes the file of a source; equal source and key give equal bytes");
  build->add_option("SOURCE", options.file, "Content as YAML")->required();
  build->add_option("-o,--output", options.output, "The file to write")->required()->type_name("FILE");
  build->add_option("--key", options.keys, "Private key that signs (PEM, Ed25519)")
      ->type_name("FILE")
      ->expected(1);
  schemas(build, "What sensors supply; once for each schema. The content is refused unless it fits");

  CLI::App* verify =
      app.add_subcommand("verify", "Says whether a file is sound, or the first thing that is wrong");
  verify->add_option("FILE", options.file, "Content")->required();
  verify
      ->add_option("--key", options.keys,
                   "Trusted public key (PEM); once for each. One of them must have signed")
      ->type_name("FILE")
      ->allow_extra_args(false);
  schemas(verify, "What sensors supply; once for each schema. Every one in the file's range must fit");

  CLI::App* show = app.add_subcommand("show", "What a file says");
  show->add_option("FILE", options.file, "Content")->required();
  show->add_option("-o,--output", options.format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  show->add_option("--key", options.keys,
                   "Trusted public key (PEM); once for each. One of them must have signed")
      ->type_name("FILE")
      ->allow_extra_args(false);

  std::vector<std::string> reversed(args.rbegin(), args.rend());  // CLI11 takes them from the back
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kExitOk : kExitUsage;
  }
  Command command(options, out, err);
  if (build->parsed()) return command.Build();
  if (verify->parsed()) return command.Verify();
  return command.Show();
}

}  // namespace ringfence::content
