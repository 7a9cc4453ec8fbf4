"""Decodes audio files to 16-bit mono PCM, and measures the result.

The modules, in the order in which a file passes through them:

    parallel              several of the next: decodes files ahead of who needs them
    decoders_of_threads   one of the next for each thread
    decoder               starts a child process, and ends it if a file makes it hang
    decoder_process       the child: answers one request after the other
    decode                a clip: reads, resamples and checks it
    portions, spool       a recording of any length: decodes it portion by portion; holds its samples for the model
    readers               fetches a file, splits it if others were joined to it, and chooses between two decoders
      joined              reads the parts of a joined file as one sound; splits what is not split by `headers`
        ogg, vorbis       chained Ogg, and what is missing at its beginning or end
        mp3, mp3_frames   MP3, whose tags may give a wrong number of frames
        splitting, mp4, transport_stream
                          where the parts of other formats start
      headers             how much sound a file holds, whatever its header promises, e.g. after the crash of a recorder
        chunks, flac      where the sound of WAV, AIFF, CAF and their like is; what the frames of FLAC say
        trailers          where the sound ends: what may follow, and the next part
      sndfile             the first decoder, libsndfile: fast, for sound without pictures
      ffmpeg              the second one, FFmpeg, for all else
        containers        the formats that it may read, their tracks and what they promise
        lead, timeline, losses, zeros
                          passes over what comes long before a segment; puts sound in its place on the player's
                          clock; counts what damage has cost; finds zeros where sound should be
    checks                compares what was decoded with what was promised
    resample              brings it to the requested rate, and to 16 bits

All of them share `sound` (sources, segments, samples, DecodeError), `views` (files within files) and `tags`. `pcm`,
`levels` and `log_mel` measure and convert what has been decoded.
"""

from beam_jobs.audio.decode import Decoded, Rules, check_level, decode_clip, decode_file
from beam_jobs.audio.sound import DecodeError

__all__ = ["DecodeError", "Decoded", "Rules", "check_level", "decode_clip", "decode_file"]
