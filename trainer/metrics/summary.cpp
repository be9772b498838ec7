#include "trainer/metrics/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <vector>

namespace lockstep {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

constexpr std::size_t most_rows = 20;
constexpr std::string_view accuracy_of = "val_accuracy.";

double number(const json& line, const std::string& key) {
  return line.contains(key) && line[key].is_number() ? line[key].get<double>() : 0.0;
}

std::string percent(double fraction) {
  return fmt::format("{:.2f} %", 100 * fraction);
}

// What lines of training, each of equally many steps, tell together.
class Training {
 public:
  void add(const json& line) {
    ++lines_;
    loss_ += number(line, "loss");
    accuracy_ += number(line, "accuracy");
    lr_ = number(line, "lr");
    seconds_an_image_ += 1 / std::max(number(line, "images_per_s"), 1e-9);
  }
  bool empty() const { return lines_ == 0; }
  Row cells() const {
    if (empty()) return {"-", "-", "-", "-"};
    return {fmt::format("{:.4f}", loss_ / lines_), percent(accuracy_ / lines_), fmt::format("{:.4g}", lr_),
            fmt::format("{:.0f}", lines_ / seconds_an_image_)};
  }

 private:
  int lines_ = 0;
  double loss_ = 0, accuracy_ = 0, lr_ = 0, seconds_an_image_ = 0;
};

// A run's rows, each under the step and with the evaluation of a line, if it tells one.
class Rows {
 public:
  explicit Rows(Row entries) : entries_(std::move(entries)) {}

  void add(const Training& training, const json& line) {
    Row row{fmt::format("{:.0f}", number(line, "step")), fmt::format("{:.0f}", number(line, "epoch"))};
    std::ranges::move(training.cells(), std::back_inserter(row));
    row.push_back(line.contains("val_loss") ? fmt::format("{:.4f}", number(line, "val_loss")) : "-");
    row.push_back(accuracy(line, "val_accuracy"));
    for (const std::string& entry : entries_) row.push_back(accuracy(line, entry));
    rows_.push_back(std::move(row));
  }

  std::string table() const {
    if (rows_.empty()) return "";
    Row heading{"step", "epoch", "loss", "accuracy", "lr", "images/s", "val_loss", "val_accuracy"};
    for (const std::string& entry : entries_) heading.push_back(entry.substr(accuracy_of.size()));
    const std::size_t left_out = rows_.size() - std::min(rows_.size(), most_rows);
    std::vector<Row> shown{heading};
    shown.insert(shown.end(), rows_.begin() + static_cast<std::ptrdiff_t>(left_out), rows_.end());
    std::string text = aligned(shown);
    if (left_out > 0) text += fmt::format("  {} evaluations before these\n", left_out);
    return text;
  }

 private:
  static std::string accuracy(const json& line, const std::string& key) {
    return line.contains(key) ? percent(number(line, key)) : "-";
  }
  static std::string aligned(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths(rows.front().size());
    for (const Row& row : rows) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const Row& row : rows) {
      for (std::size_t i = 0; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], widths[i]);
      text += '\n';
    }
    return text;
  }

  Row entries_;
  std::vector<Row> rows_;
};

std::vector<json> parse_lines(const std::string& metrics) {
  std::vector<json> parsed;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (object.is_object()) parsed.push_back(std::move(object));
  }
  return parsed;
}

// The kinds of running statistics, where there are several.
Row entries_of(const std::vector<json>& lines) {
  Row entries;
  for (const json& line : lines) {
    for (const auto& [key, value] : line.items()) {
      const bool is_entry = key.starts_with(accuracy_of);
      if (is_entry && std::ranges::find(entries, key) == entries.end()) entries.push_back(key);
    }
  }
  if (entries.size() == 1) entries.clear();
  return entries;
}

}  // namespace

std::string summary_table(const std::string& metrics) {
  const std::vector<json> lines = parse_lines(metrics);
  Rows rows(entries_of(lines));
  Training training;
  json best;
  for (const json& line : lines) {
    if (line.contains("loss")) training.add(line);
    const bool evaluated = line.contains("val_accuracy");
    if (!evaluated && (&line != &lines.back() || training.empty())) continue;
    rows.add(training, line);
    training = {};
    if (evaluated && (best.is_null() || number(line, "val_accuracy") > number(best, "val_accuracy")))
      best = line;
  }
  if (best.is_null()) return rows.table();
  return rows.table() + fmt::format("  best val_accuracy: {} at step {:.0f}\n",
                                    percent(number(best, "val_accuracy")), number(best, "step"));
}

}  // namespace lockstep
