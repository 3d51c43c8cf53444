"""When does the TVM-0.17 VTA stack accept / reject / miscompute a conv2d_transpose configuration?

verdict(workload, hw, knobs) -> 'ok' or the first cause.
  workload: batch, in_channels, out_channels, height, width, kernel, stride, padding, bias   (output_padding (0,0))
  hw:       vta_config.json keys
  knobs:    tile_h, tile_w, tile_ci, tile_co (inner factors), oc_nthread, h_nthread          (tile_b is never applied)
Assumes 0 <= padding <= kernel-1.  Everything is simulated from the loop nests, nothing is tabulated.
"""

BATCH_BLOCK = "lowering"  # LOG_BATCH > 0: InjectConv2DTransposeSkip raises AttributeError (body.indices of a For)
SIM_RANGE = "wrong_result"  # fsim stops: an overflow micro-op leaves the scratchpad


def shape(w, hw):
    blk, B = 1 << hw["LOG_BLOCK"], 1 << hw["LOG_BATCH"]
    (KH, KW), (sh, sw), (ph, pw) = w["kernel"], w["stride"], w["padding"]
    s = dict(
        KH=KH,
        KW=KW,
        sh=sh,
        sw=sw,
        N=w["batch"] // B,
        CI=w["in_channels"] // blk,
        CO=w["out_channels"] // blk,
    )
    s["DH"], s["DW"] = (
        (w["height"] - 1) * sh + 1,
        (w["width"] - 1) * sw + 1,
    )  # dilated input: a DRAM buffer made by the CPU
    s["bh"], s["bw"] = KH - 1 - ph, KW - 1 - pw  # padding put around it by the DMA
    s["OH"], s["OW"] = s["DH"] + 2 * s["bh"] - KH + 1, s["DW"] + 2 * s["bw"] - KW + 1
    return s


def log_depths(hw):
    lb = hw["LOG_BATCH"] + hw["LOG_BLOCK"]
    return dict(
        inp=hw["LOG_INP_BUFF_SIZE"] + 3 - hw["LOG_INP_WIDTH"] - lb,
        wgt=hw["LOG_WGT_BUFF_SIZE"] + 3 - hw["LOG_WGT_WIDTH"] - 2 * hw["LOG_BLOCK"],
        acc=hw["LOG_ACC_BUFF_SIZE"] + 3 - hw["LOG_ACC_WIDTH"] - lb,
        uop=hw["LOG_UOP_BUFF_SIZE"] - 2,
    )


# ---------------------------------------------------------------- DMA
def fold(axes):
    """axes outer->inner as (extent, stride in elements). What _fold_buffer_dim + _get_2d_pattern make of them:
    (x_size, y_size, x_stride), or None when not 2-D."""
    axes = [a for a in axes if a[0] > 1][::-1]
    groups = []
    if axes and axes[0][1] != 1:
        groups.append([1, 1])
    for e, st in axes:
        # a dummy x never merges; otherwise merge with the running group when contiguous
        if (
            groups
            and not (groups[-1] == [1, 1] and st != 1)
            and groups[-1][0] * groups[-1][1] == st
        ):
            groups[-1][0] *= e
        else:
            groups.append([e, st])
    if len(groups) > 2:
        return None
    groups += [[1, 1]] * (2 - len(groups))
    return groups[0][0], groups[1][0], groups[1][1]


def wraps(p):
    x, y, st = p
    return x >= 1 << 16 or y >= 1 << 16 or (y > 1 and st >= 1 << 16)


def inp_dma(s, tci, IH, IW):
    """cause, pattern"""
    ci, h, w = (tci, s["DH"] * s["DW"], 0), (IH, s["DW"], s["bh"]), (IW, 1, s["bw"])
    if not (s["bh"] or s["bw"]):
        p = fold([a[:2] for a in (ci, h, w)])
        return ("dma_2d:inp", None) if p is None else ("ok", p)
    for e, _, pad in (h, w):
        if pad and e == 1:
            return "dma_clip", None  # impossible for padding <= kernel-1
    ax = [a for a in (ci, h, w) if a[0] > 1]  # extents of 1 vanish; the block is one more axis
    if len(ax) < 2 or len(ax) > 4:
        return "dma_pad", None  # ndim <= 2
    if any(a[2] for a in ax[2:]):
        return "dma_pad", None  # pad on the third axis
    if len(ax) != 2 or ax[1][1] != 1:
        return "dma_2d:inp", None  # no folding: 3 axes, or x not contiguous
    return "ok", (ax[1][0], ax[0][0], ax[0][1])


# ---------------------------------------------------------------- micro-ops
def nest(s, k, reset):
    """GEMM nest: hardware loops [(extent, dst, src, wgt)], micro-op list [(dst, src, wgt, overflow)] (thread 0),
    and a flag-generator for overflow of the hardware loops is folded in by run()."""
    th, tw, tci, tco = k["tile_h"], k["tile_w"], k["tile_ci"], k["tile_co"]
    KH, KW = s["KH"], s["KW"]
    IH, IW = th + KH - 1, tw + KW - 1
    nii, njj = min(th, 4), min(tw, 2)
    xi, xj = -(-th // nii), -(-tw // njj)
    # name, extent, dst, src, wgt, rows, cols
    loops = [("ci", tci, 0, IH * IW, KH * KW, 0, 0)] if not reset else []
    loops += [
        ("xj", xj, njj, njj, 0, 0, njj),
        ("co", tco, th * tw, 0, tci * KH * KW, 0, 0),
        ("xi", xi, nii * tw, nii * IW, 0, nii, 0),
    ]
    loops = [l[1:] for l in loops if l[1] > 1]
    hwl, rest = loops[:2], loops[2:]
    inner = [(njj, 1, 1, 0, 0, 1)]
    if not reset:
        inner += [(KW, 0, 1, 1, 0, 0), (KH, 0, IW, KW, 0, 0)]
    inner += [(nii, tw, IW, 0, 1, 0)]
    ops = [(0, 0, 0, 0, 0)]
    for e, d, sr, wg, r, c in rest + inner:
        ops = [
            (a + i * d, b + i * sr, g + i * wg, y + i * r, x + i * c)
            for a, b, g, y, x in ops
            for i in range(e)
        ]
    if reset:
        hwl = [(e, d, 0, 0, r, c) for e, d, _, _, r, c in hwl]
        ops = [(a, 0, 0, y, x) for a, _, _, y, x in ops]
    return hwl, ops


def hazard(ops, base, mask):
    """runtime VerifyDep: stored (wrapped) index of the last two against the new one"""
    p = []
    for o in ops:
        d = o[0] + base
        if d in p:
            return True
        p = (p + [d & mask])[-2:]
    return False


def zero_rows(th, IH, n_tiles, nthread, t, pad, D, stride):
    """set of tile rows that are zero (padding or dilation hole) in every tile thread t visits"""
    z = set()
    for y in range(IH):
        for j in range(t, n_tiles, nthread):
            r = j * th + y - pad
            if 0 <= r < D and r % stride == 0:
                break
        else:
            z.add(y)
    return z


def gemm_ok(s, k, ld, nt, A, I, residue_zero=False):
    """Do the rows/columns past the tile (guards lost) leave the tile(s) intact? 'ok' | 'wrong_result' | SIM_RANGE
    residue_zero: what INP holds behind the loaded tiles (left by earlier programs, or uninitialised) counts as zero."""
    th, tw, tco = k["tile_h"], k["tile_w"], k["tile_co"]
    if (th <= 4 or th % 4 == 0) and (tw == 1 or tw % 2 == 0):
        return "ok"
    IH, IW = th + s["KH"] - 1, tw + s["KW"] - 1
    T, am, im = th * tw * tco, (1 << ld["acc"]) - 1, (1 << max(ld["acc"], ld["inp"])) - 1
    ht = k["h_nthread"]
    zr = [
        zero_rows(th, IH, s["OH"] // th, ht, t if ht > 1 else 0, s["bh"], s["DH"], s["sh"])
        for t in range(nt)
    ]
    zc = zero_rows(tw, IW, s["OW"] // tw, 1, 0, s["bw"], s["DW"], s["sw"])

    def is_zero(src):
        t, e = divmod(src, I)
        if t >= nt:
            return residue_zero  # behind every loaded tile
        y, x = divmod(e % (IH * IW), IW)
        return y in zr[t] or x in zc

    bad = False
    for reset in (True, False):
        hwl, ops = nest(s, k, reset)
        hwl = hwl + [(1, 0, 0, 0, 0, 0)] * (2 - len(hwl))
        # only micro-ops / iterations past the tile matter
        seen = set()
        for t in range(nt):
            for a, b, _, y, x in ops:
                d0, s0 = (a + t * A) & am, (b + t * I) & im
                for i in range(hwl[0][0]):
                    for j in range(hwl[1][0]):
                        yy = y + i * hwl[0][4] + j * hwl[1][4]
                        xx = x + i * hwl[0][5] + j * hwl[1][5]
                        if yy < th and xx < tw:
                            continue
                        d = d0 + i * hwl[0][1] + j * hwl[1][1]
                        sr = s0 + i * hwl[0][2] + j * hwl[1][2]
                        if (d, sr) in seen:
                            continue
                        seen.add((d, sr))
                        if d > am or (not reset and sr >= 1 << ld["inp"]):
                            return SIM_RANGE
                        u, e = divmod(d, A)
                        if not reset and u < nt and e < T and not is_zero(sr):
                            bad = True
    return "wrong_result" if bad else "ok"


# ---------------------------------------------------------------- micro-op cache (runtime.cc UopQueue)
class Kernel:
    def __init__(self, kind, ops, dreach, sreach):
        """dreach, sreach: what the hardware loops add at most to the dst / src index"""
        self.kind, self.ops, self.b, self.e, self.dreach, self.sreach = (
            kind,
            ops,
            0,
            0,
            dreach,
            sreach,
        )


def cache_ok(depth, seq, tiles, ld):
    """seq: kernels pushed per output tile. 'ok' when every executed range of the micro-op memory is what its kernel says,
    SIM_RANGE when a stale micro-op leaves a scratchpad, else 'wrong_result'."""
    cache, idx, sb, se = [], 0, 0, 0
    events, states = [], {}

    def push(kn):
        nonlocal idx, sb, se
        if kn.b != kn.e:
            return
        n, ub = len(kn.ops), 0
        if se + n > depth:
            idx, sb, se = 0, 0, n
        else:
            ub, se = se, se + n
        ev = idx
        while idx < len(cache) and cache[idx].b < se:
            cache[idx].b = cache[idx].e = 0
            idx += 1
        kn.b, kn.e = ub, se
        cache.insert(idx, kn)
        del cache[ev:idx]
        idx = ev + 1
        if sb != se:
            events.append(("load", sb, se, sum(len(c.ops) for c in cache[: idx - 1])))
            sb = se

    i = 0
    while i < tiles:
        st = (tuple((id(c), c.b, c.e) for c in cache), idx, sb, se)
        if st in states and tiles - i > 0:
            per = i - states[st]
            tiles = i + (tiles - i) % per + per  # same phase, one more period is enough
            states = {}
            if i >= tiles:
                break
        elif states is not None and len(states) < 10000:
            states[st] = i
        for kn in seq:
            push(kn)
            events.append(("run", kn, kn.b, kn.e))
        i += 1
        if len(events) > 3000000:
            break
    buf = [(c.kind, o) for c in cache for o in c.ops]
    mem, res = [None] * depth, "ok"
    for ev in events:
        if ev[0] == "load":
            _, b, e, off = ev
            for j in range(e - b):
                mem[b + j] = buf[off + j][1] if off + j < len(buf) else None
        else:
            _, kn, b, e = ev
            got = mem[b:e]
            for o in got:
                if o is not None and (
                    o[0] + kn.dreach >= 1 << ld["acc"]
                    or kn.kind != "reset"
                    and o[1] + kn.sreach >= 1 << ld["inp" if kn.kind == "gemm" else "acc"]
                ):
                    return SIM_RANGE
            if None in got:
                res = "wrong_result"
                continue
            f = (
                (lambda o: o[:1])
                if kn.kind in ("reset", "alu_imm")
                else (lambda o: o[:2])
                if kn.kind == "alu"
                else (lambda o: o)
            )
            if sorted(map(f, got)) != sorted(map(f, kn.ops)):
                res = "wrong_result"
    return res


# ---------------------------------------------------------------- verdict
def verdict(w, hw, k, residue_zero=False):
    if hw["LOG_BATCH"] > 0:
        return BATCH_BLOCK
    s, ld = shape(w, hw), log_depths(hw)
    th, tw, tci, tco, on, hn = (
        k[x] for x in ("tile_h", "tile_w", "tile_ci", "tile_co", "oc_nthread", "h_nthread")
    )
    depth = {m: 1 << v for m, v in ld.items()}
    IH, IW = th + s["KH"] - 1, tw + s["KW"] - 1
    T, I, G = th * tw * tco, IH * IW * tci, s["KH"] * s["KW"] * tci * tco
    h0, w0, co0, ci0 = s["OH"] // th, s["OW"] // tw, s["CO"] // tco, s["CI"] // tci
    bias = bool(w["bias"])
    nt = on * hn
    # 1. StorageFlatten: every allocation by itself, unreplicated
    for tag, n in (("acc", T), ("inp", I), ("wgt", G)):
        if n > depth[tag]:
            return "sram:" + tag
    # 2. InjectDMAIntrin: copies in program order
    if h0 % hn:
        return "vthread_split"
    c, pi = inp_dma(s, tci, IH, IW)
    if c != "ok":
        return c
    if co0 % on:
        return "vthread_split"
    K = s["KH"] * s["KW"]
    pw_ = fold([(tco, s["CI"] * K), (tci, K), (K, 1)])
    ps = fold([(tco, s["OH"] * s["OW"]), (th, s["OW"]), (tw, 1)])
    if ps is None:
        return "dma_2d:acc"
    # 3. StorageRewrite: totals. One buffer for the in-place epilogue, except with both virtual threads
    both = on == 2 and hn == 2
    if both:
        acc = 4 * ((5 * T + tco) if bias else 4 * T)
    else:
        acc = nt * (T + (tco if bias else 0))
    for tag, n in (("acc", acc), ("inp", nt * I), ("wgt", nt * G)):
        if n > depth[tag]:
            return "sram:" + tag
    # 4. both virtual threads
    if both:
        return "alu_pattern" if bias else "uop_signature"
    # 5. recording the micro-op kernels
    A = T + (tco if bias else 0)
    am = depth["acc"] - 1
    for reset in (True, False):
        ops = nest(s, k, reset)[1]
        for t in range(nt):
            if hazard(ops, t * A, am):
                return "uop_hazard"
            if len(ops) > depth["uop"]:
                return "sram:uop"
    # 6. execution
    r = gemm_ok(s, k, ld, nt, A, I, residue_zero)
    if r == SIM_RANGE:
        return r
    if max(s["bh"], s["bw"]) > 15 or any(wraps(p) for p in (pi, pw_, ps)) or T >= 1 << 14:
        return "wrong_result"  # ISA fields wrap
    nR, nG = len(nest(s, k, True)[1]), len(nest(s, k, False)[1])
    nA = 4 if bias else 3
    if nt * (nR + nG + nA) > depth["uop"]:
        (lR, R), (lM, M) = nest(s, k, True), nest(s, k, False)
        reach = lambda l, i: sum((x[0] - 1) * x[i] for x in l)
        rk = [Kernel("reset", [(o[0] + t * A,) for o in R], reach(lR, 1), 0) for t in range(nt)]
        gk = [
            Kernel(
                "gemm",
                [(o[0] + t * A, o[1] + t * I, o[2] + t * G) for o in M],
                reach(lM, 1),
                reach(lM, 2),
            )
            for t in range(nt)
        ]
        seq = rk + gk * ci0
        for t in range(nt):
            alu = [Kernel("alu_imm", [(t * A, t * A)], T - 1, T - 1) for _ in range(nA)]
            if bias:
                alu[1] = Kernel("alu", [(t * A, t * A + T)], T - 1, tco - 1)
            seq += alu
        # pad tuples to one shape
        for kn in seq:
            kn.ops = [tuple(o) + (0,) * (3 - len(o)) for o in kn.ops]
        c = cache_ok(depth["uop"], seq, s["N"] * h0 * w0 * co0 // nt, ld)
        if c != "ok":
            return c
    return r
