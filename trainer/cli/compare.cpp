#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/loop/digests.h"

namespace lockstep {
namespace {

Usage usage() {
  Usage usage;
  usage.command = "compare";
  usage.synopsis = "RUN_A RUN_B";
  usage.purpose =
      "Finds the first step and tensor where two runs differ, from the digests that they kept with "
      "train.digest_every. Ends with code 6 if they do.";
  usage.example =
      "lockstep train a.yaml --set train.digest_every=1 --set run_dir=runs/one\n"
      "lockstep train a.yaml --set train.digest_every=1 --set run_dir=runs/two --workers 2\n"
      "lockstep compare runs/one runs/two";
  usage.operands = {"RUN_A", "RUN_B"};
  usage.required_operands = 2;
  return usage;
}

}  // namespace

int run_compare(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_one_worker("compare");

  const std::string& a = options->operands()[0];
  const std::string& b = options->operands()[1];
  const Comparison result = compare_digests(read_digests(a), read_digests(b));
  const std::string compared =
      fmt::format("{} step(s) compared, from {} to {}", result.steps, result.first, result.last);
  if (!result.differ) {
    fmt::print("{} and {} are the same: {}\n", a, b, compared);
    return 0;
  }
  fmt::print("{} and {} differ from step {} on, first in {} ({} of {} tensors differ there): {}\n", a, b,
             result.step, printable(result.differing.front()), result.differing.size(), result.tensors,
             compared);
  return static_cast<int>(ExitCode::differ);
}

}  // namespace lockstep
