// Completion scripts for shells, made from the command tree itself so that they cannot fall behind it.
#pragma once

#include <string>
#include <vector>

namespace ringfence::cli {

struct Completable {
  std::string path;  // "plan apply"; "" for the command itself
  struct Word {
    std::string word;  // "apply", "--reason"
    std::string help;
    std::vector<std::string> values;  // an option's legal values, if they are few
  };
  std::vector<Word> words;  // subcommands and options
  bool files = false;       // takes a file as an argument
};

std::string BashCompletion(const std::vector<Completable>& tree);
std::string ZshCompletion(const std::vector<Completable>& tree);
std::string FishCompletion(const std::vector<Completable>& tree);

}  // namespace ringfence::cli
