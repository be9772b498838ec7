#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep {
namespace {

// A number of epochs, possibly fractional, in whole steps.
std::int64_t in_steps(double epochs, std::int64_t steps_per_epoch) {
  return std::llround(epochs * static_cast<double>(steps_per_epoch));
}

}  // namespace

std::int64_t total_steps(const ScheduleConfig& schedule, std::int64_t steps_per_epoch) {
  return schedule.steps ? *schedule.steps : schedule.epochs.value() * steps_per_epoch;
}

double learning_rate(const ScheduleConfig& schedule, double base_lr, std::int64_t steps_per_epoch,
                     std::int64_t step) {
  const std::int64_t warmup = in_steps(schedule.warmup_epochs, steps_per_epoch);
  if (step < warmup) return base_lr * static_cast<double>(step + 1) / static_cast<double>(warmup);

  // Reached only where the warm-up ends within the run, so what is left is at least one step.
  const auto done = static_cast<double>(step - warmup);
  const auto left = static_cast<double>(total_steps(schedule, steps_per_epoch) - warmup);
  switch (schedule.decay) {
    case ScheduleConfig::Decay::constant:
      return base_lr;
    case ScheduleConfig::Decay::cosine:
      return base_lr * 0.5 * (1 + std::cos(std::numbers::pi * done / left));
    case ScheduleConfig::Decay::linear:
      return base_lr * (1 - done / left);
    case ScheduleConfig::Decay::step: {
      const std::int64_t period = std::max<std::int64_t>(1, in_steps(schedule.step_epochs, steps_per_epoch));
      const std::int64_t drops = step / period;
      return base_lr * std::pow(schedule.step_factor, static_cast<double>(drops));
    }
  }
  return base_lr;
}

bool extends(const ScheduleConfig& before, const ScheduleConfig& after) {
  const bool same_shape = before.warmup_epochs == after.warmup_epochs && before.decay == after.decay &&
                          before.step_epochs == after.step_epochs && before.step_factor == after.step_factor;
  if (!same_shape) return false;
  if (before.epochs == after.epochs && before.steps == after.steps) return true;
  // Cosine and linear stretch over the whole run: a longer one would have had other rates from the start.
  const bool same_start =
      before.decay == ScheduleConfig::Decay::constant || before.decay == ScheduleConfig::Decay::step;
  const bool longer = (before.epochs && after.epochs && *after.epochs > *before.epochs) ||
                      (before.steps && after.steps && *after.steps > *before.steps);
  return same_start && longer;
}

}  // namespace lockstep
