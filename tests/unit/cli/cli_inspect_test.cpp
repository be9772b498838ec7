#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "trainer/cli/inspect_table.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;
using testing::Not;

ordered_json tensor(const std::string& name, std::vector<int> shape, int values) {
  return {{"name", name},     {"dtype", "f32"},      {"shape", std::move(shape)},
          {"values", values}, {"bytes", 4 * values}, {"min", -1.5},
          {"max", 2.5},       {"mean", 0.25}};
}

std::string table_of(std::initializer_list<const char*> names) {
  ordered_json report;
  for (const char* name : names) report["tensors"].push_back(tensor(name, {2}, 2));
  return inspect_table(report);
}

TEST(InspectTable, ShowsTensorsInGroupsWithTheirSums) {
  ordered_json report;
  report["tensors"] = {tensor("train.step", {}, 1),
                       tensor("bn1.running_mean", {8}, 8),
                       tensor("conv1.weight", {8, 3, 3, 3}, 216),
                       tensor("stats.cumulative.bn1.running_mean", {8}, 8),
                       tensor("optimizer.momentum.conv1.weight", {8, 3, 3, 3}, 216),
                       tensor("fc.bias", {10}, 10)};
  report["tensors"][0]["mean"] = 117;
  EXPECT_EQ(inspect_table(report),
            "tensor                               type  shape         values   min  max  mean\n"
            "\n"
            "parameters\n"
            "  conv1.weight                       f32   [8, 3, 3, 3]     216  -1.5  2.5  0.25\n"
            "  fc.bias                            f32   [10]              10  -1.5  2.5  0.25\n"
            "\n"
            "running statistics\n"
            "  bn1.running_mean                   f32   [8]                8  -1.5  2.5  0.25\n"
            "\n"
            "running statistics: cumulative\n"
            "  stats.cumulative.bn1.running_mean  f32   [8]                8  -1.5  2.5  0.25\n"
            "\n"
            "optimizer: momentum\n"
            "  optimizer.momentum.conv1.weight    f32   [8, 3, 3, 3]     216  -1.5  2.5  0.25\n"
            "\n"
            "counters of the run\n"
            "  train.step                         f32   []                 1              117\n"
            "\n"
            "                                tensors  values\n"
            "parameters                            2     226    904 B\n"
            "running statistics                    1       8     32 B\n"
            "running statistics: cumulative        1       8     32 B\n"
            "optimizer: momentum                   1     216    864 B\n"
            "counters of the run                   1       1      4 B\n"
            "all                                   6     459  1.8 KiB\n");
}

TEST(InspectTable, TellsEntriesWithDotsApart) {
  const std::string table =
      table_of({"layer1.0.bn1.running_var", "bn1.running_var", "stats.ema:0.01.layer1.0.bn1.running_var",
                "stats.ema:0.5.bn1.running_var", "stats.strange.no.such.running_var"});
  EXPECT_THAT(table, HasSubstr("\nrunning statistics: ema:0.01\n"));
  EXPECT_THAT(table, HasSubstr("\nrunning statistics: ema:0.5\n"));
  EXPECT_THAT(table, HasSubstr("\nrunning statistics: strange\n"));
}

TEST(InspectTable, CountsAnAveragedModelByItself) {
  const std::string table = table_of({"optimizer.momentum.fc.bias", "ema_weights.bn1.running_mean",
                                      "ema_weights.stats.ema:0.01.bn1.running_mean", "ema_weights.fc.bias",
                                      "bn1.running_mean", "stats.ema:0.01.bn1.running_mean", "fc.bias"});
  EXPECT_THAT(table, HasSubstr("                              tensors  values\n"
                               "parameters                          1       2   8 B\n"
                               "running statistics                  1       2   8 B\n"
                               "running statistics: ema:0.01        1       2   8 B\n"
                               "averaged model                      3       6  24 B\n"
                               "optimizer: momentum                 1       2   8 B\n"));
}

TEST(InspectTable, SpreadsMetadataOverLines) {
  ordered_json report;
  report["metadata"] = {{"step", "117"},
                        {"config", R"({"model":{"name":"cnn"},"seed":1,"layers":[]})"},
                        {"class_names", R"(["a","b"])"},
                        {"odd", "{not JSON"},
                        {"long", std::string(1000, 'x')}};
  const std::string table = inspect_table(report);
  EXPECT_THAT(table, HasSubstr("\nmetadata\n"
                               "  step               117\n"
                               "  config.layers      []\n"
                               "  config.model.name  cnn\n"
                               "  config.seed        1\n"
                               "  class_names        [\"a\",\"b\"]\n"
                               "  odd                {not JSON\n"));
  EXPECT_THAT(table, HasSubstr(std::string(300, 'x') + "...\n"));
}

TEST(InspectTable, ShowsNoControlCharactersOfAStrangersFile) {
  ordered_json report;
  report["tensors"] = {tensor("evil\x1b[2J", {2}, 2), tensor("optimizer.\x1b.a", {2}, 2)};
  report["metadata"] = {{"key\n", "value\x1b"}, {"json", R"({"a\u001b":"\u001b"})"}};
  const std::string table = inspect_table(report);
  EXPECT_THAT(table, Not(HasSubstr("\x1b")));
  EXPECT_THAT(table, HasSubstr("  evil?[2J"));
  EXPECT_THAT(table, HasSubstr("  key?"));
}

TEST(InspectTable, OfNothingIsEmptyButWhole) {
  EXPECT_THAT(inspect_table(ordered_json::object()), HasSubstr("all"));
}

}  // namespace
}  // namespace lockstep
