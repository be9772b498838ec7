#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct Command {
  std::string_view name;
  std::string_view purpose;  // a line
  int (*run)(const std::vector<std::string>& arguments);
};

struct CommandTable {
  std::string_view version;
  std::vector<Command> commands;
  // Lets other processes of the job know what a command threw before they met, and throws what all of them
  // throw then. May be null.
  void (*share_failure)(const std::exception_ptr& failure) = nullptr;
};

// Runs the command that `arguments` name and answers the exit code of the process. Knows --help and
// --version; every exception becomes a message on standard error and its exit code. What all workers meet
// alike (usage, data, divergence, states that differ) is told by rank 0 alone, unless it is a ToldError; a
// lost peer and a bug by whoever meets them. After a CommError the process ends here, without unwinding
// further: its peers may never answer.
int dispatch(const CommandTable& table, const std::vector<std::string>& arguments);

}  // namespace lockstep
