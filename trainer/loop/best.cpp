#include "trainer/loop/best.h"

#include <cmath>
#include <system_error>

#include "comm/base/error.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/loop/checkpoint.h"

namespace lockstep {

double metric_of(const Score& score, EvaluationConfig::Metric metric) {
  return metric == EvaluationConfig::Metric::loss ? score.loss : score.accuracy;
}

bool better(double metric, double other, EvaluationConfig::Metric kind, double by) {
  if (std::isnan(metric) || std::isnan(other)) return !std::isnan(metric);
  return kind == EvaluationConfig::Metric::loss ? metric < other - by : metric > other + by;
}

void count_evaluation(EarlyStopping& state, std::int64_t step, const Score& score, const Config& config) {
  const auto kind = config.evaluation.metric;
  const double metric = metric_of(score, kind);
  const bool first = state.step == 0;
  state.step = step;
  if (first || better(metric, state.best, kind, config.train.early_stopping.min_delta)) {
    state.best = metric;
    state.best_step = step;
    state.not_better = 0;
  } else {
    ++state.not_better;
  }
}

bool is_kept_before(const Evaluated& one, const Evaluated& other, EvaluationConfig::Metric metric) {
  const double mine = metric_of(one.score, metric);
  const double its = metric_of(other.score, metric);
  if (better(mine, its, metric)) return true;
  return !better(its, mine, metric) && one.step < other.step;
}

std::optional<Evaluated> read_best(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return std::nullopt;
  try {
    const auto contents = SafetensorsFile::read(file);
    return Evaluated{read_facts(contents.metadata(), file.string()).step,
                     read_score(contents.metadata(), file.string())};
  } catch (const DataError&) {
    return std::nullopt;
  }
}

}  // namespace lockstep
