"""Puts decoded sound where it belongs in time, and gives it one sample rate."""

import numpy as np

from beam_jobs.audio.sound import Samples

# Containers round times, to milliseconds at worst. A larger step is a pause.
_TOLERANCE_S = 0.02
# A larger step forward is a wrong time, or a jump where a broadcast was joined. Players then play on.
_LONGEST_PAUSE_S = 6 * 3600.0
_LONGEST_PAUSE_WITH_JUMPS_S = 60.0
# A larger step back is a new start of the clock. Smaller ones are errors of a frame or two.
_LONGEST_STEP_BACK_S = 1.0
# Silence is collected in blocks of this size, so that a long pause takes no memory where its samples are not kept.
_SILENCE_SAMPLES = 2**18


class Timeline:
    """The mono sound of one track, in which pauses are silence.

    Where the clock of the frames starts again, e.g. where two broadcasts were joined, the sound goes on.

    Args:
        start_s: When the player's clock starts, as frames count time. None: they do not tell the time, and each
            follows on the one before.
        may_jump: Whether a step of a minute is a jump of the clock and no pause.
        collected: Gets the samples.

    Attributes:
        begin_s: When the sound begins on the player's clock, in seconds.
        end_s: When it ends.
        pauses_s: How long all pauses in it are together.
        ahead_s: How much later than its own time the latest frame with a time sounds.
    """

    def __init__(self, *, start_s: float | None, may_jump: bool, collected: Samples):
        self._start_s = start_s
        self._longest_pause_s = _LONGEST_PAUSE_WITH_JUMPS_S if may_jump else _LONGEST_PAUSE_S
        self._collected = collected
        self.begin_s = 0.0
        self.end_s = 0.0
        self.pauses_s = 0.0
        self.ahead_s = 0.0

    def __bool__(self) -> bool:
        return len(self._collected) > 0

    @property
    def sound_s(self) -> float:
        """How long the sound is without its pauses, in seconds."""
        return self.end_s - self.begin_s - self.pauses_s

    def add(self, samples: np.ndarray, *, rate: int, time_s: float | None, until_s: float = np.inf) -> None:
        """Adds the samples of the next frame.

        Args:
            samples: float32 (samples,).
            rate: Their rate in Hz.
            time_s: When they begin; None if that is unknown.
            until_s: Where the sound that is needed ends. A pause is not filled beyond.
        """
        if self._start_s is not None and time_s is not None:
            self._go_to(time_s - self._start_s, rate=rate, until_s=until_s)
            self.ahead_s = self.end_s - (time_s - self._start_s)
        self._collected.append(samples, rate=rate)
        self.end_s += samples.size / rate

    def samples(self) -> tuple[np.ndarray, int]:
        """Returns all samples, float32 (samples,), and their rate: the highest rate of a frame."""
        return self._collected.join(), self._collected.rate

    def _add_silence(self, count: int, *, rate: int) -> None:
        for size in [*[_SILENCE_SAMPLES] * (count // _SILENCE_SAMPLES), count % _SILENCE_SAMPLES]:
            self._collected.append(np.broadcast_to(np.float32(0), size), rate=rate)

    def _go_to(self, time_s: float, *, rate: int, until_s: float) -> None:
        """Goes forward to the time of the next frame, or sets the clock if that is no pause."""
        if not self:
            self.begin_s = self.end_s = max(0.0, time_s)
            return
        pause_s = time_s - self.end_s
        if pause_s < -_LONGEST_STEP_BACK_S or pause_s > self._longest_pause_s:
            self._start_s += pause_s
        elif pause_s > _TOLERANCE_S:
            needed_s = max(0.0, min(pause_s, until_s - self.end_s))
            self._add_silence(round(needed_s * rate), rate=rate)
            self.pauses_s += pause_s
            self.end_s = time_s
