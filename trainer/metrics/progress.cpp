#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "comm/base/log.h"
#include "trainer/metrics/metrics.h"
#include "trainer/metrics/terminal.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds redraw_interval = 100ms;

std::string clock_text(std::chrono::seconds time) {
  const auto seconds = time.count();
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace

std::string progress_text(const Progress::State& state, std::optional<std::chrono::seconds> left) {
  const std::int64_t percent = state.total_steps > 0 ? 100 * state.step / state.total_steps : 100;
  std::string text =
      fmt::format("{:3} %  step {}/{}  epoch {}", percent, state.step, state.total_steps, state.epoch);
  if (state.epochs > 0) text += fmt::format("/{}", state.epochs);
  text += fmt::format("  loss {:.4f}  accuracy {:.1f} %  {:.0f} images/s", state.loss, 100 * state.accuracy,
                      state.images_per_s);
  if (left) text += fmt::format("  {} left", clock_text(*left));
  return text;
}

std::chrono::seconds log_interval(std::chrono::seconds elapsed) {
  return std::clamp<std::chrono::seconds>(elapsed / 10, 5s, 10min);
}

Progress::Progress(bool enabled, std::int64_t first_step)
    : enabled_(enabled), terminal_(is_on_terminal()), first_step_(first_step), start_(Clock::now()) {}

void Progress::update(const State& state) {
  if (!enabled_) return;
  const auto now = Clock::now();
  const bool last = state.step >= state.total_steps;
  const auto elapsed = std::chrono::floor<std::chrono::seconds>(now - start_);
  const Clock::duration interval = terminal_ ? redraw_interval : Clock::duration(log_interval(elapsed));
  if (shown_ && !last && now - *shown_ < interval) return;
  shown_ = now;

  std::optional<std::chrono::seconds> left;
  if (const std::int64_t done = state.step - first_step_; done > 0) {
    left = std::chrono::round<std::chrono::seconds>((now - start_) / done * (state.total_steps - state.step));
  }
  const std::string text = progress_text(state, left);
  if (terminal_) {
    // The wrapping of lines is off meanwhile: a second row could not be redrawn in place.
    fmt::print(stderr, "\r\x1b[?7l{}\x1b[K\x1b[?7h", text);
    std::fflush(stderr);
    drawn_ = true;
  } else {
    spdlog::info("{}", text);
  }
}

void Progress::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\n");
  drawn_ = false;
}

void Progress::show(const std::string& text) {
  if (!enabled_ || !terminal_) return;
  clear();
  fmt::print(stderr, "{}", text);
}

}  // namespace lockstep
