// A command line, an argument a line.
#include "trainer/cli/arguments.h"

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"
#include "trainer/config/config.h"

using namespace lockstep;

namespace {

Usage usage() {
  Usage usage;
  usage.command = "fuzz";
  usage.options = {set_option(),
                   {.name = "workers", .value = "N", .meaning = "a number"},
                   {.name = "resume", .value = "", .meaning = "a flag"},
                   {.name = "overwrite", .value = "", .meaning = "a flag"},
                   {.name = "top", .value = "K", .meaning = "a number"}};
  usage.operands = {"CONFIG.yaml"};
  usage.required_operands = 1;
  usage.many_operands = true;
  return usage;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto options = parse_arguments(usage(), fuzz::lines_of(fuzz::text_of(data, size)));
    if (!options) return 0;  // --help
    require_exclusive(usage(), *options, "resume", "overwrite");
    const std::int64_t workers = options->integer("workers", 1, 1, 64);
    fuzz::require(workers >= 1 && workers <= 64, "a number lies within its bounds");
    fuzz::require(!options->operands().empty(), "an operand that must be there is there");
    const std::vector<std::string> settings = options->values("set");
    const Config config = parse_config("", "a.yaml", settings);
    fuzz::require(config.batch.global >= 1, "a value lies within its bounds");
  } catch (const UsageError&) {
  }
  return 0;
}
