#include "trainer/cli/inspect_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <vector>

#include "comm/base/text.h"
#include "layers/tensor/shape.h"
#include "trainer/checkpoint/strict_json.h"
#include "trainer/loop/memory.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;
using Row = std::vector<std::string>;
using Names = std::set<std::string, std::less<>>;

constexpr std::size_t longest_name = 200;
constexpr std::size_t longest_text = 300;
constexpr std::array<std::string_view, 3> running{".running_mean", ".running_var", ".num_batches_tracked"};
constexpr std::string_view statistics = "stats.";

// Rows of cells; the first column is flush left, and so are `left` more.
std::string aligned(const std::vector<Row>& rows, std::size_t left) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      line += i <= left ? fmt::format("{:<{}}", row[i], widths[i]) : fmt::format("{:>{}}", row[i], widths[i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

// "stats.ema:0.01.bn1.running_mean" is of the entry "ema:0.01": behind it stands the name that the primary
// statistics have.
std::string entry_of(const std::string& name, const Names& names) {
  constexpr int most_dots = 32;
  std::size_t dot = name.find('.', statistics.size());
  const std::size_t first = dot;
  for (int dots = 0; dot != std::string::npos && dots < most_dots; ++dots, dot = name.find('.', dot + 1)) {
    if (names.contains(std::string_view(name).substr(dot + 1))) break;
  }
  const std::size_t end = dot == std::string::npos ? first : dot;
  return name.substr(statistics.size(), end - statistics.size());
}

std::string group_of(const std::string& name, const Names& names) {
  constexpr std::string_view optimizer = "optimizer.";
  const auto ends = [&](std::string_view end) { return name.ends_with(end); };
  if (name.starts_with(optimizer)) {
    return fmt::format("optimizer: {}",
                       name.substr(optimizer.size(), name.find('.', optimizer.size()) - optimizer.size()));
  }
  if (name.starts_with("ema_weights.")) return "averaged model";
  if (name.starts_with("train.")) return "counters of the run";
  if (!std::ranges::any_of(running, ends)) return "parameters";
  return name.starts_with(statistics) ? "running statistics: " + entry_of(name, names) : "running statistics";
}

std::string number(const ordered_json& row, const char* key) {
  if (!row.contains(key)) return "-";
  const ordered_json& value = row[key];
  return value.is_number_float() ? fmt::format("{:.5g}", value.get<double>()) : value.dump();
}

struct Group {
  std::string title;
  std::vector<const ordered_json*> tensors;
  std::int64_t values = 0;
  std::size_t bytes = 0;
};

// `tensors` outlives them.
std::vector<Group> groups_of(const ordered_json& tensors) {
  Names names;
  for (const ordered_json& row : tensors) names.insert(row["name"].get<std::string>());
  std::vector<Group> groups;
  for (const ordered_json& row : tensors) {
    const std::string title = group_of(row["name"].get<std::string>(), names);
    auto group = std::ranges::find(groups, title, &Group::title);
    if (group == groups.end()) group = groups.insert(group, {.title = title, .tensors = {}});
    group->tensors.push_back(&row);
    group->values += row["values"].get<std::int64_t>();
    group->bytes += row["bytes"].get<std::size_t>();
  }
  // The network first, then what training needs besides.
  const auto place = [](const Group& group) {
    constexpr std::array order{"parameters", "running", "averaged", "optimizer", "counters"};
    const auto begins = [&](std::string_view word) { return group.title.starts_with(word); };
    return std::ranges::find_if(order, begins) - order.begin();
  };
  std::ranges::stable_sort(groups, {}, place);
  return groups;
}

std::string tensor_table(const std::vector<Group>& groups) {
  std::vector<Row> rows{{"tensor", "type", "shape", "values", "min", "max", "mean"}};
  for (const Group& group : groups) {
    rows.emplace_back();
    rows.push_back({printable(group.title, longest_name)});
    for (const ordered_json* tensor : group.tensors) {
      const ordered_json& it = *tensor;
      const bool single = it["values"] == 1;
      rows.push_back({"  " + printable(it["name"].get<std::string>(), longest_name),
                      it["dtype"].get<std::string>(), to_string(it["shape"].get<Dims>()),
                      number(it, "values"), single ? "" : number(it, "min"), single ? "" : number(it, "max"),
                      number(it, "mean")});
      if (it.contains("digest")) rows.back().push_back(it["digest"].get<std::string>());
    }
  }
  return aligned(rows, 2);
}

std::string sums(const std::vector<Group>& groups) {
  std::vector<Row> rows{{"", "tensors", "values", ""}};
  Group all{.title = "all", .tensors = {}};
  const auto add = [&](const Group& group) {
    rows.push_back({printable(group.title, longest_name), std::to_string(group.tensors.size()),
                    std::to_string(group.values), readable_bytes(group.bytes)});
  };
  for (const Group& group : groups) {
    add(group);
    all.tensors.insert(all.tensors.end(), group.tensors.begin(), group.tensors.end());
    all.values += group.values;
    all.bytes += group.bytes;
  }
  add(all);
  return aligned(rows, 0);
}

void add_json(const std::string& key, const nlohmann::json& value, std::vector<Row>& rows) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, inside] : value.items()) add_json(fmt::format("{}.{}", key, name), inside, rows);
    return;
  }
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  rows.push_back({"  " + printable(key, longest_name), printable(text, longest_text)});
}

std::string metadata_table(const ordered_json& metadata) {
  constexpr std::size_t deepest = 32;
  std::vector<Row> rows;
  for (const auto& [key, value] : metadata.items()) {
    const auto text = value.get<std::string>();
    nlohmann::json parsed = text;
    try {
      if (text.starts_with('{')) parsed = parse_strictly(text, deepest);
    } catch (const JsonError&) {
      // A text that only looks like JSON is shown as it is.
    }
    add_json(key, parsed, rows);
  }
  return aligned(rows, 1);
}

}  // namespace

std::string inspect_table(const ordered_json& report) {
  const ordered_json tensors = report.value("tensors", ordered_json::array());
  const std::vector<Group> groups = groups_of(tensors);
  std::string text = tensor_table(groups) + "\n" + sums(groups);
  if (report.contains("digest"))
    text += fmt::format("digest of all: {}\n", report["digest"].get<std::string>());
  if (report.contains("metadata")) text += "\nmetadata\n" + metadata_table(report["metadata"]);
  if (report.contains("plan_bytes")) {
    text += fmt::format("\nthe plan needs {} on one worker\n",
                        readable_bytes(report["plan_bytes"].get<std::size_t>()));
  }
  if (report.contains("plan")) text += fmt::format("\nplan\n{}\n", report["plan"].get<std::string>());
  return text;
}

}  // namespace lockstep
