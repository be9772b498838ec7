#include "trainer/config/normalization.h"

#include <fmt/format.h>

#include <optional>

namespace lockstep {

namespace {

constexpr Interval<std::int64_t> shards{1, most_shards};
constexpr Interval<double> momenta{0, 1};

// The number of shards that `sync` names, or nothing for global and local.
std::optional<std::int64_t> shards_of(const std::string& sync) {
  if (sync == "global" || sync == "local") return std::nullopt;
  return std::stoll(sync);
}

std::optional<RunningStatistics> running_statistics(const std::string& name) {
  using Kind = RunningStatistics::Kind;
  if (name == "ema") return RunningStatistics{.name = name, .kind = Kind::ema};
  if (name == "cumulative") return RunningStatistics{.name = name, .kind = Kind::cumulative};
  if (name == "precise") return RunningStatistics{.name = name, .kind = Kind::precise};
  if (!name.starts_with("ema:")) return std::nullopt;
  const auto momentum = number_from(std::string_view(name).substr(4));
  if (!momentum || !momenta.contains(*momentum)) return std::nullopt;
  return RunningStatistics{.name = name, .kind = Kind::ema, .momentum = *momentum};
}

}  // namespace

void read_sync(const YAML::Node& value, const Place& place, Config& config) {
  const auto text = as_text(value);
  const auto number = as_whole(value);
  if (text == "global" || text == "local" || (number && shards.contains(*number))) {
    config.normalization.sync = *text;
  } else {
    place.expected(value, "global, local, or a whole number of shards, " + shards.text());
  }
}

Json write_sync(const Config& config) {
  const auto number = shards_of(config.normalization.sync);
  return number ? Json(*number) : Json(config.normalization.sync);
}

std::string check_sync(const Config& config) {
  const auto number = shards_of(config.normalization.sync);
  if (!number || *number <= config.batch.shards) return "";
  return fmt::format("{} shards are more than the {} of batch.shards", *number, config.batch.shards);
}

void read_running_stats(const YAML::Node& value, const Place& place, Config& config) {
  const std::string expected = "ema, ema:M with M from 0 to 1, cumulative, or precise";
  if (!value.IsSequence() || value.size() == 0) {
    return place.mistake(value, "expected a list of " + expected + ", at least one; found " +
                                    (value.IsSequence() ? "an empty list" : found(value)));
  }
  std::vector<RunningStatistics> entries;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto text = as_text(value[i]);
    const auto entry = text ? running_statistics(*text) : std::nullopt;
    if (entry) {
      entries.push_back(*entry);
    } else {
      place.item(i).expected(value[i], expected);
    }
  }
  if (entries.size() == value.size()) config.normalization.running_stats = std::move(entries);
}

Json write_running_stats(const Config& config) {
  Json names = Json::array();
  for (const auto& entry : config.normalization.running_stats) names.push_back(entry.name);
  return names;
}

std::string settle_running_stats(Config& config) {
  auto& entries = config.normalization.running_stats;
  for (auto& entry : entries) {
    if (entry.name == "ema") entry.momentum = config.normalization.momentum;
  }
  for (auto later = entries.begin(); later != entries.end(); ++later) {
    for (auto earlier = entries.begin(); earlier != later; ++earlier) {
      const bool same = earlier->kind == later->kind &&
                        (later->kind != RunningStatistics::Kind::ema || earlier->momentum == later->momentum);
      if (same && earlier->name == later->name) return fmt::format("{} is there twice", later->name);
      if (same) return fmt::format("{} and {} are the same statistic", earlier->name, later->name);
    }
  }
  return "";
}

}  // namespace lockstep
