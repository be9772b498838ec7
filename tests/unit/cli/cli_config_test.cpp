#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "cli_support.h"
#include "trainer/cli/commands.h"
#include "trainer/config/config.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

TEST(CliConfig, PrintsTheDefaultsThatReadBack) {
  const std::string text = output_of([] { EXPECT_EQ(run_config({}), 0); });
  EXPECT_EQ(text, to_yaml(Config{}));
}

TEST(CliConfig, PrintsAFileWithSettingsOnTop) {
  const auto file = std::filesystem::path(testing::TempDir()) / "lockstep_cli_config.yaml";
  std::ofstream(file) << "seed: 5\nthreads: 2\n";
  const std::string text = output_of([&] { run_config({file.string(), "--set", "threads=3"}); });
  EXPECT_THAT(text, HasSubstr("seed: 5\n"));
  EXPECT_THAT(text, HasSubstr("threads: 3\n"));
  std::filesystem::remove(file);
}

TEST(CliConfig, PrintsTheTableOfKeys) {
  EXPECT_EQ(output_of([] { EXPECT_EQ(run_config({"--keys"}), 0); }), keys_markdown());
  EXPECT_THAT(refusal_of([] { run_config({"--keys", "a.yaml"}); }), HasSubstr("--keys stands alone"));
}

TEST(CliConfig, RefusesWhatIsWrongAndALauncherOfMany) {
  EXPECT_THAT(refusal_of([] { run_config({"--set", "lr=1"}); }), HasSubstr("did you mean 'optimizer.lr'?"));
  EXPECT_THAT(refusal_of([] { run_config({"/nowhere.yaml"}); }), HasSubstr("/nowhere.yaml: cannot be read"));
  const UnderLauncher two(0, 2);
  EXPECT_THAT(refusal_of([] { run_config({}); }), HasSubstr("runs on one worker"));
}

TEST(CliConfig, HelpHasAnExample) {
  EXPECT_THAT(output_of([] { EXPECT_EQ(run_config({"--help"}), 0); }),
              HasSubstr("example:\n  lockstep config"));
}

}  // namespace
}  // namespace lockstep
