"""A small ray tracer: render.py --frame N --frames COUNT --out FILE.png [--size WIDTHxHEIGHT]

Nothing but + - * / and square roots touches a pixel: IEEE 754 gives the same bits for those on every machine, so strangers
agree on every byte. There is no sine: a polynomial stands in for the tangent that the circling spheres need.
"""
import argparse
import struct
import zlib
from math import sqrt

INFINITY = 1e30
SUN = (0.48, 0.80, -0.36)  # of length one
SUN_X, SUN_Y, SUN_Z = SUN
MOST_BOUNCES = 3


def circle(part, parts):
    """The point at part/parts of a full turn, as (x, y) on the unit circle."""
    eighths = 8 * part / parts
    whole = int(eighths)
    rest = eighths - whole
    if whole % 2:
        rest = 1 - rest
    # The tangent of rest * 45 degrees, near enough; putting the point back on the circle hides the error.
    tangent = rest * (0.7854 + rest * rest * (0.1616 + rest * rest * 0.053))
    length = sqrt(1 + tangent * tangent)
    x, y = 1 / length, tangent / length
    if whole % 4 in (1, 2):
        x, y = y, x
    if whole in (2, 3, 4, 5):
        x = -x
    if whole in (4, 5, 6, 7):
        y = -y
    return x, y


def scene(frame, frames):
    """Spheres as (x, y, z, radius, red, green, blue, mirror): one of chrome, three that circle it, one that bounces."""
    spheres = [(0.0, 1.0, 0.0, 1.0, 0.95, 0.95, 1.0, 0.82)]
    colours = [(0.95, 0.22, 0.18), (0.16, 0.62, 0.30), (0.18, 0.36, 0.95)]
    for number, (red, green, blue) in enumerate(colours):
        x, z = circle((3 * frame + number * frames) % (3 * frames), 3 * frames)
        spheres.append((1.9 * x, 0.45, 1.9 * z, 0.45, red, green, blue, 0.22))
    # Two hops a loop, each a parabola.
    t = 2 * frame % frames / frames
    spheres.append((-2.55, 0.35 + 4 * t * (1 - t) * 0.9, -1.5, 0.35, 1.0, 0.74, 0.15, 0.30))
    return [(x, y, z, r * r, 1 / r, red, green, blue, mirror) for x, y, z, r, red, green, blue, mirror in spheres]


def trace(spheres, ox, oy, oz, dx, dy, dz, bounces):
    """The colour seen from o in direction d (of length one)."""
    nearest, hit = INFINITY, None
    for sphere in spheres:
        lx, ly, lz = sphere[0] - ox, sphere[1] - oy, sphere[2] - oz
        along = lx * dx + ly * dy + lz * dz
        if along > 0:
            inside = sphere[3] - (lx * lx + ly * ly + lz * lz - along * along)
            if inside > 0:
                distance = along - sqrt(inside)
                if 1e-4 < distance < nearest:
                    nearest, hit = distance, sphere
    if dy < -1e-6 and -oy / dy < nearest:
        return floor(spheres, ox, oy, oz, dx, dy, dz, -oy / dy, bounces)
    if hit is None:
        return sky(dx, dy, dz)

    px, py, pz = ox + nearest * dx, oy + nearest * dy, oz + nearest * dz
    nx, ny, nz = (px - hit[0]) * hit[4], (py - hit[1]) * hit[4], (pz - hit[2]) * hit[4]
    light = nx * SUN_X + ny * SUN_Y + nz * SUN_Z
    if light > 0 and shadowed(spheres, px, py, pz):
        light = 0.0
    elif light < 0:
        light = 0.0
    ambient = 0.22 + 0.12 * ny
    red, green, blue, mirror = hit[5] * (ambient + 0.85 * light), hit[6] * (ambient + 0.85 * light), hit[7] * (ambient + 0.92 * light), hit[8]
    facing = -(dx * nx + dy * ny + dz * nz)
    rx, ry, rz = dx + 2 * facing * nx, dy + 2 * facing * ny, dz + 2 * facing * nz
    if bounces:
        # Schlick: the flatter the view, the more of a mirror.
        flat = 1 - facing
        flat *= flat * flat * flat * flat
        mirror += (1 - mirror) * flat
        r, g, b = trace(spheres, px, py, pz, rx, ry, rz, bounces - 1)
        red, green, blue = red + (r * hit[5] - red) * mirror, green + (g * hit[6] - green) * mirror, blue + (b * hit[7] - blue) * mirror
    if light > 0:
        shine = rx * SUN_X + ry * SUN_Y + rz * SUN_Z
        if shine > 0.9:
            for _ in range(6):
                shine *= shine
            red, green, blue = red + 0.9 * shine, green + 0.9 * shine, blue + 0.8 * shine
    return red, green, blue


def floor(spheres, ox, oy, oz, dx, dy, dz, distance, bounces):
    """A checker board that shines a little and fades into the haze."""
    px, pz = ox + distance * dx, oz + distance * dz
    if (int(px + 1000.0) + int(pz + 1000.0)) % 2:
        red, green, blue = 0.86, 0.84, 0.80
    else:
        red, green, blue = 0.20, 0.23, 0.30
    near = px * px + pz * pz
    if near < 60:
        light = 0.32 if shadowed(spheres, px, 0.0, pz) else 1.0
        red, green, blue = red * light, green * light, blue * light
        if bounces:
            r, g, b = trace(spheres, px, 0.0, pz, dx, -dy, dz, 0)
            red, green, blue = red + (r - red) * 0.14, green + (g - green) * 0.14, blue + (b - blue) * 0.14
    haze = distance * distance
    haze /= haze + 420
    r, g, b = 0.80, 0.87, 0.95
    return red + (r - red) * haze, green + (g - green) * haze, blue + (b - blue) * haze


def sky(dx, dy, dz):
    height = dy if dy > 0 else 0.0
    fade = height * (2 - height)
    glow = dx * SUN_X + dy * SUN_Y + dz * SUN_Z
    glow = glow * glow * glow * 0.18 if glow > 0 else 0.0
    return 0.80 - 0.58 * fade + glow, 0.87 - 0.42 * fade + glow, 0.95 - 0.17 * fade + glow * 0.6


def shadowed(spheres, px, py, pz):
    for sphere in spheres:
        lx, ly, lz = sphere[0] - px, sphere[1] - py, sphere[2] - pz
        along = lx * SUN_X + ly * SUN_Y + lz * SUN_Z
        if along > 1e-3 and lx * lx + ly * ly + lz * lz - along * along < sphere[3] and lx * lx + ly * ly + lz * lz > sphere[3] * 1.001:
            return True
    return False


def camera(width, height):
    """Where the rays start, and a function from a place in the picture (in pixels) to the direction of its ray."""
    eye, target, opening = (0.6, 2.1, -6.2), (-0.05, 0.72, 0.0), 0.9
    fx, fy, fz = target[0] - eye[0], target[1] - eye[1], target[2] - eye[2]
    length = sqrt(fx * fx + fy * fy + fz * fz)
    fx, fy, fz = fx / length, fy / length, fz / length
    level = sqrt(fx * fx + fz * fz)
    rx, rz = fz / level, -fx / level  # to the right, level
    ux, uy, uz = -fy * fx / level, level, -fy * fz / level
    scale = opening / height

    def direction(x, y):
        sx, sy = (x - width / 2) * scale, (height / 2 - y) * scale
        dx, dy, dz = fx + sx * rx + sy * ux, fy + sy * uy, fz + sx * rz + sy * uz
        length = 1 / sqrt(dx * dx + dy * dy + dz * dz)
        return dx * length, dy * length, dz * length

    return eye, direction


def picture(spheres, width, height):
    """Rows of (red, green, blue). A first pass of one ray a pixel; where neighbours differ, three more smooth the edge."""
    (ex, ey, ez), direction = camera(width, height)

    def ray(x, y):
        dx, dy, dz = direction(x, y)
        return trace(spheres, ex, ey, ez, dx, dy, dz, MOST_BOUNCES)

    rows = [[ray(x + 0.375, y + 0.125) for x in range(width)] for y in range(height)]

    def differ(a, b):
        return abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2]) > 0.16

    smooth = []
    for y, row in enumerate(rows):
        above, below = rows[max(y - 1, 0)], rows[min(y + 1, height - 1)]
        line = []
        for x, here in enumerate(row):
            if differ(here, row[max(x - 1, 0)]) or differ(here, row[min(x + 1, width - 1)]) or differ(here, above[x]) or differ(here, below[x]):
                for px, py in ((0.875, 0.375), (0.125, 0.625), (0.625, 0.875)):
                    more = ray(x + px, y + py)
                    here = here[0] + more[0], here[1] + more[1], here[2] + more[2]
                here = here[0] / 4, here[1] / 4, here[2] / 4
            line.append(here)
        smooth.append(line)
    return smooth


def level(value):
    """0 to 255."""
    return int(255 * min(max(value, 0.0), 1.0) + 0.5)


def png(rows, width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    # Each byte as its difference from the pixel to the left (filter 1): soft gradients pack well.
    lines = bytearray()
    for row in rows:
        lines.append(1)
        left = (0, 0, 0)
        for colour in row:
            here = level(colour[0]), level(colour[1]), level(colour[2])
            lines += bytes(((here[0] - left[0]) & 255, (here[1] - left[1]) & 255, (here[2] - left[2]) & 255))
            left = here
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(lines), 9)) + chunk(b"IEND", b"")


def main():
    arguments = argparse.ArgumentParser(description="Renders one frame of a looping animation.")
    arguments.add_argument("--frame", type=int, required=True)
    arguments.add_argument("--frames", type=int, default=16)
    arguments.add_argument("--size", default="480x270")
    arguments.add_argument("--out", required=True)
    given = arguments.parse_args()
    width, height = map(int, given.size.split("x"))
    rows = picture(scene(given.frame, given.frames), width, height)
    with open(given.out, "wb") as out:
        out.write(png(rows, width, height))


if __name__ == "__main__":
    main()
