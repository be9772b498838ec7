#include <fmt/format.h>

#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/config/config.h"

namespace lockstep {

int run_config(const std::vector<std::string>& arguments) {
  const Usage usage{
      .command = "config",
      .synopsis = "[--keys | CONFIG.yaml] [--set key=value]...",
      .purpose =
          "Checks a configuration and prints it with every key, defaults included. Without a file: the\n"
          "defaults.",
      .example =
          "  lockstep config configs/fashion_mnist.yaml --set optimizer.lr=0.05\n"
          "  lockstep config --keys",
      .options = {{.name = "keys",
                   .value = "",
                   .meaning = "print the table of all keys, as configs/README.md has it"},
                  set_option()},
      .operands = {"CONFIG.yaml"}};
  const auto parsed = parse_arguments(usage, arguments);
  if (!parsed) return 0;
  require_one_worker(usage.command);
  if (parsed->has("keys")) {
    require_alone(usage, *parsed, "keys");
    fmt::print("{}", keys_markdown());
    return 0;
  }
  const auto settings = parsed->values("set");
  const Config config = parsed->operands().empty() ? parse_config("", "defaults", settings)
                                                   : load_config(parsed->operands().front(), settings);
  fmt::print("{}", to_yaml(config));
  return 0;
}

}  // namespace lockstep
