// What a vendor's people and pipeline type: a release repository of throwaway keys, content that is built,
// tested, listed, signed and published, in a folder of its own.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/command.h"

namespace ringfence::testing_support {

// The sensor is the loader's demonstration sensor, 7.11.0 with 20 inputs, on linux/x86_64/debian-12.
// Repositories and files are named relative to the folder. What is typed here and fails is a failure of the
// test. Not thread-safe.
class Vendor {
 public:
  static constexpr char kChannel[] = "ipc";
  static constexpr char kPlatform[] = "linux/x86_64/debian-12";
  static constexpr int kInputs = 20;

  Vendor();  // with the repository "repo", in which nothing is released
  ~Vendor();
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  const std::string& folder() const { return folder_; }
  std::string PathOf(const std::string& name) const { return folder_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& text) const;  // its path
  std::string Read(const std::string& name) const;

  // What makes a server follow "repo".
  std::vector<std::string> ServerFlags() const;

  // `ringfence ARGUMENTS` in the folder, to the server at this address, as release manager.
  Printed Ringfence(const std::string& server, const std::string& arguments) const;
  // `ringfence-keys ARGUMENTS`, which must succeed.
  void Keys(const std::string& arguments) const;

  // Builds content for so many inputs without looking at the sensor, as the pipeline of July 2024 did. Its
  // rule looks at the last input.
  void Build(const std::string& file, int serial, int inputs, const std::string& what = "evil") const;
  // Built, tested, listed, signed and published in the repository's folder.
  void Release(const std::string& repository, int serial, int inputs = kInputs) const;
  void SignAndPublish(const std::string& repository) const;
  void Copy(const std::string& from, const std::string& to) const;
  // The file of a release, in the repository's folder.
  std::string ArtifactOf(const std::string& repository, int serial) const;

 private:
  Printed Run(const std::string& program, const std::string& arguments,
              const std::string& environment = "") const;
  void Must(const std::string& program, const std::string& arguments) const;

  std::string folder_;
  std::string inputs_;  // of the sensor, as a schema and a source name them
};

}  // namespace ringfence::testing_support
