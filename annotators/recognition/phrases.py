"""What recognisers write where nobody speaks: the ends of videos and the credits of subtitles they were trained on.

Every phrase stands in the form of `agreement.normalised`. Those of `CREDITS` nobody says in a recording; those of
`FAREWELLS` are said, and are only doubted. Reviewed by hand; add to them what your own data shows.
"""


def _lines(text: str) -> frozenset[str]:
    return frozenset(line.strip() for line in text.splitlines()) - {""}


CREDITS = _lines(
    """
    amara org
    subtitles by the amara org community
    subtitled by the amara org community
    subtitles by amara org community
    transcription by castingwords
    transcribed by https otter ai
    subtitles by steamteamextra
    translated by releska
    english subtitles by the amara org community
    captions by gethypnotized co uk
    untertitel der amara org community
    untertitel im auftrag des zdf für funk 2017
    untertitel im auftrag des zdf 2017
    untertitelung des zdf 2020
    untertitelung im auftrag des zdf 2021
    untertitel von stephanie geiges
    copyright wdr 2021
    swr 2020
    swr 2021
    sous titres réalisés par la communauté d amara org
    sous titres réalisés para la communauté d amara org
    sous titrage société radio canada
    sous titrage st 501
    sous titres par la communauté d amara org
    subtítulos realizados por la comunidad de amara org
    subtítulos por la comunidad de amara org
    subtitulado por la comunidad de amara org
    legendas pela comunidade amara org
    legendas pela comunidade de amara org
    legenda adriana zanotto
    sottotitoli creati dalla comunità amara org
    sottotitoli e revisione a cura di qtss
    sottotitoli a cura di qtss
    ondertitels ingediend door de amara org gemeenschap
    ondertiteld door de amara org gemeenschap
    napisy stworzone przez społeczność amara org
    napisy wykonane przez społeczność amara org
    субтитры создавал dimatorzok
    субтитры сделал dimatorzok
    субтитры делал dimatorzok
    субтитры подогнал симон
    редактор субтитров а семкин корректор а егорова
    продолжение следует
    altyazı m k
    中文字幕由amara org社区提供
    字幕由amara org社区提供
    字幕由 amara org 社群提供
    由 amara org 社群提供的字幕
    请不吝点赞 订阅 转发 打赏支持明镜与点点栏目
    請不吝點贊 訂閱 轉發 打賞支持明鏡與點點欄目
    明镜与点点栏目
    字幕by索兰娅
    字幕志愿者 李宗盛
    字幕志愿者 杨茜茜
    中文字幕志愿者 杨栋梁
    ترجمة نانسي قنقر
    """
)

FAREWELLS = _lines(
    """
    thank you
    thanks
    thank you for watching
    thank you very much for watching
    thank you so much for watching
    thanks for watching
    thanks for watching and see you in the next video
    thank you for watching please subscribe to my channel
    please subscribe to my channel
    please subscribe
    like and subscribe
    see you next time
    see you in the next video
    bye
    bye bye
    you
    vielen dank
    vielen dank fürs zuschauen
    danke fürs zuschauen
    merci
    merci d avoir regardé cette vidéo
    merci d avoir regardé la vidéo
    gracias
    gracias por ver el video
    gracias por ver
    obrigado por assistir
    obrigado
    grazie per la visione
    grazie per aver guardato il video
    bedankt voor het kijken
    dziękuję za uwagę
    dziękuję za oglądanie
    спасибо за просмотр
    дякую за перегляд
    izlediğiniz için teşekkür ederim
    izlediğiniz için teşekkürler
    ご視聴ありがとうございました
    ご清聴ありがとうございました
    おやすみなさい
    チャンネル登録お願いします
    谢谢观看
    謝謝觀看
    感谢观看
    感謝觀看
    谢谢大家
    시청해주셔서 감사합니다
    구독과 좋아요 부탁드립니다
    감사합니다
    cảm ơn các bạn đã theo dõi
    hãy subscribe cho kênh ghiền mì gõ để không bỏ lỡ những video hấp dẫn
    terima kasih telah menonton
    شكرا على المشاهدة
    شكرا للمشاهدة
    """
)
