#include "trainer/cli/dispatch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <system_error>
#include <typeinfo>

#include "comm/base/error.h"
#include "comm/base/leave.h"
#include "comm/base/told_error.h"
#include "comm/mpi/mpi.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/program.h"
#include "trainer/config/nearest.h"
#include "trainer/loop/lacking.h"

namespace lockstep {

namespace {

std::string help_text(const CommandTable& table) {
  std::string text = fmt::format(
      "usage: {} COMMAND [OPTIONS]\n\n"
      "Trains neural networks on many workers. Their number does not change one bit of the result.\n\n",
      program_name());
  for (const Command& command : table.commands) {
    text += fmt::format("  {:<10}{}\n", command.name, command.purpose);
  }
  return text +
         "\n  --help     show this text; behind a command, that command's\n"
         "  --version  show the version\n\n"
         "example:\n" +
         as_typed(
             "  mpirun -n 2 lockstep train configs/fashion_mnist.yaml\n"
             "  lockstep evaluate runs/fashion_mnist/final.safetensors\n");
}

// A rank of a launcher that is not rank 0, or nothing.
std::string rank_in_front() {
  try {
    const auto launch = launched();
    return launch && launch->rank > 0 ? fmt::format("rank {}: ", launch->rank) : "";
  } catch (const Error&) {
    return "";  // the environment is at fault: every process says so
  }
}

int tell(ExitCode code, bool all_alike, const std::string& message) {
  const std::string rank = rank_in_front();
  if (rank.empty() || !all_alike) fmt::print(stderr, "{}{}\n", rank, message);
  flush_output();
  return static_cast<int>(code);
}

int run(const CommandTable& table, const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw UsageError(help_text(table));
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "--version") {
    const bool version = first == "--version";
    if (speaks()) fmt::print("{}", version ? fmt::format("lockstep {}\n", table.version) : help_text(table));
    return static_cast<int>(ExitCode::done);
  }
  const auto command = std::find_if(table.commands.begin(), table.commands.end(),
                                    [&](const Command& it) { return it.name == first; });
  if (command != table.commands.end()) return command->run({arguments.begin() + 1, arguments.end()});
  std::vector<std::string> names{"--help", "--version"};
  for (const Command& known : table.commands) names.emplace_back(known.name);
  throw UsageError(fmt::format("unknown command {}; did you mean '{}'?\n{} --help lists all commands",
                               in_quotes(first), nearest(first, names), program_name()));
}

// Throws where standard output did not take all that was printed: an answer in part is none.
void check_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw DataError("standard output cannot be written, so the answer is not complete: is its disk full?");
}

int run_and_flush(const CommandTable& table, const std::vector<std::string>& arguments) {
  try {
    const int code = run(table, arguments);
    check_output();
    return code;
  } catch (const std::system_error&) {  // printing throws it too
    check_output();
    throw;
  }
}

int run_shared(const CommandTable& table, const std::vector<std::string>& arguments) {
  try {
    return run_and_flush(table, arguments);
  } catch (const CommError&) {
    throw;
  } catch (const Error&) {
    if (table.share_failure != nullptr) table.share_failure(std::current_exception());
    throw;
  }
}

}  // namespace

int dispatch(const CommandTable& table, const std::vector<std::string>& arguments) {
  try {
    return run_shared(table, arguments);
  } catch (const ToldError& error) {
    return static_cast<int>(error.code());
  } catch (const CommError& error) {
    tell(error.code(), false, error.what());
    leave_process(error.code());
  } catch (const Error& error) {
    return tell(error.code(), true, error.what());
  } catch (const std::exception& error) {
    if (const auto lack = lacking(error)) return tell(lack->code, false, lack->what);
    return tell(
        ExitCode::bug, false,
        fmt::format("this is a bug of ours, please report it with the command line and the configuration\n"
                    "  {}: {}",
                    typeid(error).name(), error.what()));
  }
}

}  // namespace lockstep
