// The calibration text that ships with Fathom, written for it. Its parts differ in language and
// kind as what models are asked to read does; a model's own field is better served by the user's
// own text (--calibration).
#include "compress/calibration.h"

namespace fathom {

std::string_view default_calibration_text() {
  return R"TEXT(The ferry left the island a little after six, when the fog had begun to lift from the strait and the gulls were already quarrelling over what the night had left on the stones. Marta stood at the rail with her collar turned up. Behind her, two boys were arguing about whether a whale could hear the engine, and their grandmother, who had worked in the cannery for thirty-one years, said that a whale could hear anything it cared to hear. The water was the colour of slate. Now and then the hull struck a patch of kelp and a shiver went through the planks, as if the boat had remembered something unpleasant.

She had with her one suitcase, a folder of drawings, and a letter that she had read so often that its folds were coming apart. The letter said that the bridge would be built after all. It did not say who would pay for it, nor why, after four refusals, the council had changed its mind in a single afternoon. Her father used to say that a bridge is an argument between two shores, and that engineers are merely the ones who write down what was agreed.

Bridges carry loads in a few basic ways. A beam resists bending: its upper side is squeezed while its lower side is stretched, and the material near the middle does comparatively little work, which is why rolled steel sections look like the letter I. An arch turns the load into thrust against its abutments. A suspension bridge hangs its deck from cables whose tension grows as the sag becomes smaller. For a uniform load w over a span L with sag f, the horizontal pull in the cable is H = w L^2 / (8 f), so that halving the sag doubles the pull. With w = 12 kN/m, L = 240 m and f = 24 m, H comes to 3600 kN.

Question: A train leaves Norwich at 09:40 and travels 84 km at an average of 72 km/h. When does it arrive?
Answer: 84 / 72 hours is 1 hour and 10 minutes, so the train arrives at 10:50.

Question: Which is heavier, a litre of water or a litre of olive oil?
Answer: The water. A litre of water weighs about 1000 grams and a litre of olive oil about 915 grams, which is why oil floats on top.

Question: Write a sentence that uses the words "lantern", "harbour" and "reluctantly".
Answer: Reluctantly, the old pilot handed over his lantern and watched the last boat cross the harbour without him.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

// Counts how often each word occurs and returns the most frequent ones first.
std::vector<std::pair<std::string, int>> most_frequent(const std::vector<std::string>& words, size_t limit) {
  std::map<std::string, int> counts;
  for (const std::string& word : words) ++counts[word];
  std::vector<std::pair<std::string, int>> result(counts.begin(), counts.end());
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (result.size() > limit) result.resize(limit);
  return result;
}

def moving_average(values, width):
    """Yields the mean of every window of `width` consecutive values."""
    if width < 1:
        raise ValueError(f"width must be positive, not {width}")
    total = 0.0
    for i, value in enumerate(values):
        total += value
        if i >= width:
            total -= values[i - width]
        if i >= width - 1:
            yield total / width


class Inventory:
    def __init__(self):
        self._items = {}

    def add(self, name, count=1):
        self._items[name] = self._items.get(name, 0) + count

    def remove(self, name, count=1):
        left = self._items.get(name, 0) - count
        if left < 0:
            raise KeyError(f"there are not {count} of {name}")
        self._items[name] = left

SELECT c.name, COUNT(o.id) AS orders, SUM(o.total) AS spent
FROM customers AS c LEFT JOIN orders AS o ON o.customer_id = c.id
WHERE o.placed_at >= '2024-01-01' GROUP BY c.name HAVING SUM(o.total) > 500 ORDER BY spent DESC LIMIT 20;

{"name": "get_weather", "arguments": {"city": "Porto", "unit": "celsius", "days": 3}}

async function loadPage(url, attempts = 3) {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    if (response.ok) return response.json();
    await new Promise((resolve) => setTimeout(resolve, 250 * attempt));
  }
  throw new Error(`cannot load ${url} after ${attempts} attempts`);
}

"You are late," said the clockmaker, without looking up.
"I came as soon as I heard. Is it true that the tower has stopped?"
"Stopped, no. It has begun to go backwards. Yesterday it struck nine, then eight, and at noon it was morning again. The baker has sold the same loaf twice."
"And nobody minds?"
"The children are delighted. Only the schoolmaster complains, since his pupils are forgetting their lessons in the order in which they learned them."
She laughed, took off her gloves, and opened the case of tools. "Then let us see whether the fault lies in the wheels or in the town."

User: My houseplant has yellow leaves. What should I do?
Assistant: Yellow leaves most often mean too much water. Push a finger into the soil: if it is wet two centimetres down, let it dry before you water again and make sure the pot has a hole at the bottom. If the soil is dry and only the oldest leaves turn yellow, the plant may simply be replacing them, or it may need a little fertiliser. Leaves that are pale between green veins point to a lack of iron or magnesium.
User: The soil was soaking. Should I repot it?
Assistant: If it smells sour or the roots are brown and soft, yes. Cut away the rotten roots, use fresh, loose soil, and water only lightly for the first week.

Le marché ouvre à sept heures. Avant même que les cloches ne sonnent, les maraîchers ont déjà disposé leurs cageots de tomates, de courgettes et d'abricots sous les bâches rayées. Une vieille dame goûte une cerise, hésite, en goûte une seconde, puis demande le prix d'un air étonné. On parle du temps, de la sécheresse, du fils du boulanger qui s'est installé à Lyon. À midi, il ne reste que quelques feuilles de salade sur le pavé mouillé.

Am Rand des Dorfes steht eine Mühle, die seit vierzig Jahren kein Korn mehr gemahlen hat. Im Frühjahr zogen Schwalben unter das Dach, im Sommer kamen Wanderer, um im Schatten der Linde auszuruhen, und im Herbst versammelte sich der Gemeinderat, um darüber zu streiten, ob man das Rad erneuern oder den Bach umleiten solle. Entschieden wurde nichts, aber der Apfelkuchen war jedes Mal ausgezeichnet.

Cuando el río baja crecido, los pescadores amarran las barcas a los álamos y se sientan a remendar las redes. Nadie tiene prisa. El más joven cuenta que vio un pez del tamaño de un perro; el más viejo responde que los perros de su juventud eran más grandes, y todos se ríen. Al caer la tarde, el agua recobra poco a poco su color verde y se oyen otra vez las ranas.

Il treno per Bologna era in ritardo di venti minuti. Nella sala d'attesa un uomo leggeva ad alta voce le previsioni del tempo, come se fossero una poesia, e una bambina contava le piastrelle del pavimento.

Зимой озеро замерзает за одну ночь. Утром лёд ещё тонкий и прозрачный, под ним видны камни и медленные рыбы. Старики говорят, что выходить на него можно только тогда, когда трижды выпадет снег, но дети, конечно, никогда не ждут так долго.

春天来得很晚。山上的雪到四月才开始融化,溪水变得又急又冷。村里的人修好了木桥,把羊赶到对岸的草地上。傍晚时分,炊烟从屋顶升起,孩子们在路边数着归来的羊群,数到一半又忘了,只好从头再数。

雨が上がると、庭の石はしばらく黒く光っていた。祖母は縁側に座り、豆の筋を取りながら、昔この家に住んでいた猫の話をしてくれた。

Photosynthesis takes place in two stages. In the first, light is absorbed by chlorophyll in the thylakoid membranes, water is split, oxygen is released, and energy is stored in ATP and NADPH. In the second, the Calvin cycle, carbon dioxide is fixed by the enzyme rubisco and reduced to sugars with the energy that was stored. The overall reaction may be written 6 CO2 + 6 H2O -> C6H12O6 + 6 O2, although it hides a good many steps.

Theorem. There are infinitely many prime numbers. Proof. Suppose that p_1, ..., p_n were all of them, and let N = p_1 p_2 ... p_n + 1. Every whole number greater than 1 has a prime divisor; let q be one of N. If q were among p_1, ..., p_n, it would divide both N and N - 1, and hence their difference, which is 1. That is impossible, so q is a prime that is not on the list. QED.

Let f(x) = x^3 - 6x^2 + 9x + 1. Then f'(x) = 3x^2 - 12x + 9 = 3(x - 1)(x - 3), so the function rises until x = 1, falls until x = 3, and rises again. Its local maximum is f(1) = 5 and its local minimum is f(3) = 1.

# Release notes
## 2.4.0
- The importer accepts files larger than 4 GB.
- `--dry-run` lists what would be changed and exits with status 0.
- Fixed: a time zone without daylight saving was shifted by an hour in reports that span October.
## 2.3.1
- Fixed: on slow disks the cache could be read before it was written.

| Region | 2021 | 2022 | 2023 |
|--------|-----:|-----:|-----:|
| North  | 1204 | 1377 | 1419 |
| South  |  860 |  845 |  902 |
| Islands|   97 |  131 |  158 |

Bread with rye. Mix 300 g of rye flour with 300 ml of warm water and two spoonfuls of sourdough, cover the bowl, and let it stand overnight. In the morning add 250 g of wheat flour, 10 g of salt, a spoonful of honey, and as much water as the dough will take without running. Knead briefly, let it rise for two hours in a tin, and bake for fifty minutes, the first ten at 240 degrees and the rest at 200. It is better on the second day than on the first, and better still on the third.

The committee met on Tuesday to consider three proposals for the old railway yard. The first would turn the engine sheds into workshops and small studios, at an estimated cost of 4.2 million; the second would clear the site for two hundred apartments; and the third, submitted by a group of residents, would leave the sheds as they are, remove the asphalt, and plant the remainder as a park. After a debate of almost three hours the chair observed that each of the plans assumed the railway company would sell, which it had not yet agreed to do. The matter was put off until the autumn.

In the northern summer the terns arrive from the other end of the world. Each of them weighs about as much as a small apple, and each has flown some thirty thousand kilometres to stand on this particular heap of gravel, which they defend against foxes, ravens, researchers and sheep with equal fury. They lay two eggs, seldom three. By August the young can fly, and a few weeks later, as though a switch had been turned, the whole noisy city rises at once, hangs for a moment above the shore, and is gone.

Dear Mr. Okafor,
thank you for your letter of 3 March. We are sorry to hear that the second parcel did not arrive. According to our records it was handed to the carrier on 24 February and reached the depot in Leeds two days later, where it seems to have been put on the wrong van. A replacement was sent this morning; you need not return the first parcel should it turn up after all. We have also refunded the cost of delivery (7.90) to the card that you paid with.
With kind regards,
Helen Brandt, Customer Service

How do you tell a true north wind from one that merely comes from the north? Sailors of this coast say that the true one arrives with a clear horizon and stays for an odd number of days. Meteorologists, asked about it, point out that a ridge of high pressure to the west brings dry air down from the plateau, that such ridges last between two and six days, and that people remember the odd numbers. Both explanations are written in pencil on the wall of the harbour office, one above the other, and nobody has wiped away either of them.

Error: cannot open /var/lib/app/state.db: Permission denied
[2024-05-17 08:12:44] WARN  worker-3: queue length 1532 is above the limit of 1000, slowing down
[2024-05-17 08:12:45] INFO  worker-1: finished job 88412 in 0.83 s
$ git commit -m "Keep the index sorted while rows are added"
$ curl -s https://example.org/api/v1/items?limit=10 | jq '.items[].id'
)TEXT";
}

}  // namespace fathom
