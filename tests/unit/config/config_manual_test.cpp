#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "config_support.h"
#include "trainer/config/keys.h"
#include "trainer/config/nearest.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

const fs::path configs = fs::path(__FILE__).parent_path() / "../../../configs";

std::string contents(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(ConfigManual, ItsTableIsTheOneThatTheProgramPrints) {
  const std::string manual = contents(configs / "README.md");
  const std::string begin = "<!-- keys: begin -->\n";
  const auto from = manual.find(begin);
  const auto to = manual.find("<!-- keys: end -->");
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  const auto table = from + begin.size();
  EXPECT_EQ(manual.substr(table, to - table), keys_markdown())
      << "put the output of `lockstep config --keys` between the markers of configs/README.md";
}

TEST(ConfigManual, EveryFileLoadsAndIsListed) {
  const std::string manual = contents(configs / "README.md");
  int files = 0;
  for (const auto& entry : fs::directory_iterator(configs)) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    EXPECT_NO_THROW(load_config(entry.path(), {})) << entry.path();
    EXPECT_THAT(manual, testing::HasSubstr("| `" + entry.path().filename().string() + "` |"));
  }
  EXPECT_GE(files, 4);
}

TEST(ConfigManual, TheMainExampleIsTheOneOfTheReadme) {
  const Config config = load_config(configs / "fashion_mnist.yaml", {});
  EXPECT_EQ(config.run_dir, "runs/fashion_mnist");
  EXPECT_EQ(config.model.name, "cnn");
  EXPECT_EQ(config.schedule.warmup_epochs, 1);
  EXPECT_EQ(config.batch.shards, 8);
}

TEST(ConfigKeys, EachIsInTheTableOnceAndReadsWhatItWrites) {
  std::set<std::string> paths;
  for (const Key& key : keys()) {
    EXPECT_TRUE(paths.insert(key.path).second) << key.path;
    EXPECT_FALSE(key.meaning.empty()) << key.path;
    EXPECT_FALSE(is_group(key.path)) << key.path << " is a key and a group of keys";
    const Json value = key.write(Config{});
    if (value.is_null()) continue;
    EXPECT_EQ(mistakes("", {key.path + "=" + value.dump()}), "") << key.path;
  }
}

TEST(ConfigKeys, WhatExcludesIsMutualAndOneOfTheTwoIsSet) {
  for (const Key& key : keys()) {
    if (key.excludes.empty()) continue;
    const Key* other = find_key(key.excludes);
    ASSERT_NE(other, nullptr) << key.path;
    EXPECT_EQ(other->excludes, key.path);
    EXPECT_NE(key.write(Config{}).is_null(), other->write(Config{}).is_null());
  }
}

TEST(ConfigNearest, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abc"), 0u);
  EXPECT_EQ(edit_distance("abc", "acb"), 1u);
  EXPECT_EQ(edit_distance("abc", "abd"), 1u);
  EXPECT_EQ(edit_distance("abc", "ab"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("batch.global", "batch.gloabl"), 1u);
  EXPECT_EQ(edit_distance(std::string(1000, 'a'), std::string(1000, 'b')), 64u);
}

TEST(ConfigNearest, TakesTheBeginOfAWordAsNear) {
  const std::vector<std::string> words{"idx", "fashion_mnist", "synthetic"};
  EXPECT_EQ(nearest("fashon", words), "fashion_mnist");
  EXPECT_EQ(nearest("synth", words), "synthetic");
  EXPECT_EQ(nearest("ixd", words), "idx");
}

}  // namespace
}  // namespace lockstep
